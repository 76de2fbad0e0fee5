#include "tools/gpu_cluster.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "profiler/link_rates.hpp"

namespace foreplan {
namespace {

/// Operations of one multiprocessor in a clock, dense.
struct Operations {
  int capability = 0;  ///< 10 x major + minor
  double fp32 = 0, tf32 = 0, half = 0, fp8 = 0;
};

// A multiply-add counts as two. A100: 64 fp32 lanes; H100 and B200: 128.
constexpr std::array kOperations{
    Operations{.capability = 80, .fp32 = 128, .tf32 = 1024, .half = 2048, .fp8 = 0},
    Operations{.capability = 86, .fp32 = 256, .tf32 = 256, .half = 512, .fp8 = 0},
    Operations{.capability = 89, .fp32 = 256, .tf32 = 256, .half = 512, .fp8 = 1024},
    Operations{.capability = 90, .fp32 = 256, .tf32 = 2048, .half = 4096, .fp8 = 8192},
    Operations{.capability = 100, .fp32 = 256, .tf32 = 4096, .half = 8192, .fp8 = 16384},
};

const Operations& operations_of(const GpuDescription& gpu) {
  const int capability = 10 * gpu.capability_major + gpu.capability_minor;
  const auto* above =
      std::find_if(kOperations.begin(), kOperations.end(),
                   [&](const Operations& row) { return row.capability > capability; });
  return above == kOperations.begin() ? *above : *(above - 1);
}

/// What joins two devices.
Cluster::LinkSpec link_between(int a, int b, const LinkRate& rate) {
  return {.a = VertexId{a},
          .b = VertexId{b},
          .bandwidth = rate.bandwidth,
          .latency = rate.latency,
          .duplex = rate.duplex};
}

/// Without measurements.
LinkRate nominal(const GpuDescription& gpu, bool same_gpu) {
  if (same_gpu) {
    return {.bandwidth = {gpu.memory_bandwidth.bytes_per_s / 2},
            .latency = std::chrono::microseconds(2),
            .duplex = false};
  }
  return {.bandwidth = 25_GBps, .latency = std::chrono::microseconds(10), .duplex = true};
}

std::vector<Vertex> device_vertices(const std::vector<GpuDescription>& gpus, int devices) {
  std::vector<Vertex> vertices;
  const int used = static_cast<int>(gpus.size());
  for (int i = 0; i < devices; ++i) {
    const bool shared = devices > used;
    vertices.push_back(
        {.id = fmt::format("gpu{}", i),
         .kind = VertexKind::device,
         .spec = i % used,
         .processor = shared ? gpus[static_cast<std::size_t>(i % used)].bus_id : ""});
  }
  return vertices;
}

}  // namespace

DeviceSpec gpu_spec(const GpuDescription& gpu) {
  const Operations& operations = operations_of(gpu);
  const double clocks = gpu.multiprocessors * gpu.clock_mhz * 1e6;
  DeviceSpec spec;
  spec.name = gpu.name;
  spec.memory = gpu.memory;
  spec.peak = {{DType::fp32, {operations.fp32 * clocks}},
               {DType::tf32, {operations.tf32 * clocks}},
               {DType::fp16, {operations.half * clocks}},
               {DType::bf16, {operations.half * clocks}}};
  if (operations.fp8 > 0) spec.peak[DType::fp8] = {operations.fp8 * clocks};
  spec.memory_bandwidth = gpu.memory_bandwidth;
  spec.source = "clock, multiprocessors, memory and its bandwidth as the driver tells";
  return spec;
}

Cluster gpu_cluster(const std::vector<GpuDescription>& gpus, int devices, const Profile* measured) {
  const std::vector<GpuDescription> used(
      gpus.begin(), gpus.begin() + std::min<std::ptrdiff_t>(devices, std::ssize(gpus)));
  std::vector<DeviceSpec> specs;
  for (const GpuDescription& gpu : used) {
    specs.push_back(gpu_spec(gpu));
    if (measured != nullptr) specs.back().launch_overhead = measured->dispatch.mean;
  }
  std::vector<Vertex> vertices = device_vertices(used, devices);
  const LinkRates rates = measured != nullptr ? link_rates(*measured) : LinkRates{};
  const auto rate_of = [&](int a, int b) {
    const auto found = rates.pairs.find({DeviceId{a}, DeviceId{b}});
    if (found != rates.pairs.end()) return found->second;
    const auto count = static_cast<int>(used.size());
    return nominal(used[static_cast<std::size_t>(a % count)], a % count == b % count);
  };
  std::vector<Cluster::LinkSpec> links;
  if (rates.one_port) {
    vertices.push_back({.id = "switch", .kind = VertexKind::network_switch});
    for (int a = 0; a < devices; ++a) {
      LinkRate rate = a == 0 ? rate_of(0, 1) : rate_of(0, a);
      rate.latency /= 2;  // two links make a way
      links.push_back(link_between(a, devices, rate));
    }
    return {"gpus", std::move(specs), std::move(vertices), std::move(links)};
  }
  for (int a = 0; a < devices; ++a) {
    for (int b = a + 1; b < devices; ++b) links.push_back(link_between(a, b, rate_of(a, b)));
  }
  return {"gpus", std::move(specs), std::move(vertices), std::move(links)};
}

}  // namespace foreplan
