#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "sim/error.hpp"
#include "sim/units.hpp"
#include "tools/commands.hpp"
#include "tools/cuda_plugins.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// What was found of CUDA, or why nothing was.
struct CudaFacts {
  struct Gpu {
    GpuDescription description;
    std::optional<GpuState> state;
  };
  std::vector<Gpu> gpus;
  std::string software, unavailable, no_cupti;
};

CudaFacts find_cuda() {
  CudaFacts facts;
  const CuptiPlugin* cupti = nullptr;
  try {
    cupti = &cupti_plugin();
  } catch (const Error& error) {
    facts.no_cupti = error.what();
  }
  try {
    const CudaPlugin& cuda = cuda_plugin();
    for (GpuDescription& gpu : cuda.find_gpus()) {
      const auto state = cupti != nullptr ? cupti->gpu_state(gpu.bus_id) : std::nullopt;
      facts.gpus.push_back({.description = std::move(gpu), .state = state});
    }
    facts.software = cuda.software();
  } catch (const Error& error) {
    facts.unavailable = error.what();
  }
  return facts;
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json gpu_json(const CudaFacts::Gpu& found) {
  const GpuDescription& gpu = found.description;
  Json json{{"name", gpu.name},
            {"bus_id", gpu.bus_id},
            {"memory_bytes", gpu.memory.count},
            {"multiprocessors", gpu.multiprocessors},
            {"capability", fmt::format("{}.{}", gpu.capability_major, gpu.capability_minor)},
            {"clock_mhz", gpu.clock_mhz},
            {"memory_bandwidth_bytes_per_s", gpu.memory_bandwidth.bytes_per_s}};
  if (found.state) {
    json["now"] = {{"clock_mhz", found.state->clock_mhz},
                   {"memory_clock_mhz", found.state->memory_clock_mhz},
                   {"power_w", found.state->power_w},
                   {"temperature_c", found.state->temperature_c}};
  }
  return json;
}

void print_json(const Profile::Device& host, int cores, const CudaFacts& facts, std::ostream& out) {
  Json json{
      {"host", {{"name", host.name}, {"devices", cores}, {"memory_bytes", host.memory.count}}},
      {"cuda", Json::array()},
      {"cuda_software", or_null(facts.software)},
      {"cuda_unavailable", or_null(facts.unavailable)},
      {"cupti_unavailable", or_null(facts.no_cupti)}};
  for (const CudaFacts::Gpu& gpu : facts.gpus) json["cuda"].push_back(gpu_json(gpu));
  out << json.dump(2) << "\n";
}

void print_gpu(std::size_t number, const CudaFacts::Gpu& found, std::ostream& out) {
  const GpuDescription& gpu = found.description;
  out << fmt::format(
      "cuda {}: {}, {}, capability {}.{}, {} multiprocessors at up to {:.0f} MHz, {} at {}\n",
      number, gpu.name, gpu.bus_id, gpu.capability_major, gpu.capability_minor, gpu.multiprocessors,
      gpu.clock_mhz, format(gpu.memory), format(gpu.memory_bandwidth));
  if (!found.state) return;
  out << fmt::format("        now {:.0f} MHz, memory {:.0f} MHz, {:.0f} W, {:.0f} C\n",
                     found.state->clock_mhz, found.state->memory_clock_mhz, found.state->power_w,
                     found.state->temperature_c);
}

}  // namespace

void run_devices(const DevicesCommand& command, std::ostream& out) {
  const int cores = host_devices();
  const Profile::Device host = describe_host(cores);
  const CudaFacts facts = find_cuda();
  if (command.json) return print_json(host, cores, facts, out);
  out << fmt::format("host: {}, {} cores, {}\n", host.name, cores, format(host.memory));
  for (std::size_t i = 0; i < facts.gpus.size(); ++i) print_gpu(i, facts.gpus[i], out);
  if (!facts.unavailable.empty()) out << "cuda: none, " << facts.unavailable << "\n";
  if (!facts.software.empty()) out << "cuda software: " << facts.software << "\n";
  if (!facts.no_cupti.empty()) out << "cupti: none, " << facts.no_cupti << "\n";
}

}  // namespace foreplan
