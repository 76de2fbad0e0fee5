#include "tools/workload.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <set>
#include <tuple>

#include "planner/rank_layout.hpp"
#include "profiler/device_part.hpp"
#include "runtime/host_thread.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

/// So many micro-batches in a row show the first, which overwrites gradients, and those that add.
constexpr std::int64_t kMostMicroBatches = 4;

/// The value of a `name : value` line of /proc/cpuinfo; empty where there is none.
std::string cpu_field(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    return line.substr(std::min(colon + 2, line.size()));
  }
  return {};
}

Bytes physical_memory() {
  return Bytes{std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE)};
}

/// The strategy's work on one tensor-parallel group and all its stages, repeated over the session's
/// devices, with few micro-batches.
TaskGraph sequence(const Task& task, const Strategy& strategy, int devices) {
  Strategy one = strategy;
  one.order = {};
  one.layers.clear();
  // So few micro-batches that not every schedule takes them; the work is the same.
  one.vpp = 1;
  one.schedule = Strategy{}.schedule;
  one = complete(task, one);
  one.dp = std::max(1, devices / (one.tp * one.pp));
  const BatchSplit split = split_batch(strategy, task.global_batch);
  const std::int64_t micro_batches = std::min(split.micro_batches, kMostMicroBatches);
  LoweringOptions options = lowering_options(task);
  options.communication = false;
  return lower(task.model, one, one.dp * micro_batches * split.micro_batch, options);
}

}  // namespace

std::vector<Workload> default_workloads() {
  return {{.model = "mnist-mlp", .global_batch = 256},
          {.model = "mlp-4x1024", .global_batch = 128}};
}

int host_devices() { return static_cast<int>(available_cores().size()); }

Cluster host_cluster(int devices) {
  const Cluster pattern = load_cluster("host");
  std::vector<Vertex> vertices;
  for (int i = 0; i < devices; ++i) {
    vertices.push_back({.id = fmt::format("host{}", i), .kind = VertexKind::device, .spec = 0});
  }
  std::vector<Cluster::LinkSpec> links;
  const Link& link = pattern.links().front();
  for (int a = 0; a < devices; ++a) {
    for (int b = a + 1; b < devices; ++b) {
      links.push_back({.a = VertexId{a},
                       .b = VertexId{b},
                       .bandwidth = link.bandwidth,
                       .latency = link.latency});
    }
  }
  return {"host", {pattern.device(DeviceId{0})}, std::move(vertices), std::move(links)};
}

void add_measurements(const Task& task, const std::vector<Strategy>& strategies, Sequences how,
                      Profiling& profiling, CopySizes& copies) {
  std::set<std::tuple<int, int, std::int64_t>> measured;
  for (const Strategy& strategy : strategies) {
    copies.add(
        lower(task.model, complete(task, strategy), task.global_batch, lowering_options(task)));
    const std::int64_t micro_batch = split_batch(strategy, task.global_batch).micro_batch;
    if (!measured.emplace(strategy.tp, strategy.pp, micro_batch).second) continue;
    if (how == Sequences::together) {
      profiling.add_sequence(sequence(task, strategy, task.cluster.devices()));
      continue;
    }
    const TaskGraph graph = sequence(task, strategy, 1);
    const RankLayout ranks({.tp = strategy.tp, .pp = strategy.pp});
    for (int stage = 0; stage < strategy.pp; ++stage) {
      profiling.add_sequence(device_part(graph, ranks.device({.pp = stage})));
    }
  }
}

Profile::Device describe_host(int workers) {
  const std::string model = cpu_field("model name");
  const std::string clock = cpu_field("cpu MHz");
  const auto now =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return {.name = model.empty() ? "unknown CPU" : model,
          .backend = "host",
          .memory = physical_memory(),
          .clock_mhz = clock.empty() ? 0 : std::strtod(clock.c_str(), nullptr),
          .driver = "oneDNN",
          .measured_at = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now)),
          .workers = workers};
}

}  // namespace foreplan
