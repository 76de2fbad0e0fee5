#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "runtime/gpu_search.hpp"
#include "sim/units.hpp"
#include "tools/commands.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

void print_json(const Profile::Device& host, int cores, const GpuSearch& search,
                std::ostream& out) {
  Json json{
      {"host", {{"name", host.name}, {"devices", cores}, {"memory_bytes", host.memory.count}}},
      {"cuda", Json::array()},
      {"cuda_unavailable", search.why_none.empty() ? Json(nullptr) : Json(search.why_none)}};
  for (const GpuDescription& gpu : search.gpus) {
    json["cuda"].push_back(
        {{"name", gpu.name},
         {"memory_bytes", gpu.memory_bytes},
         {"multiprocessors", gpu.multiprocessors},
         {"capability", fmt::format("{}.{}", gpu.capability_major, gpu.capability_minor)}});
  }
  out << json.dump(2) << "\n";
}

}  // namespace

void run_devices(const DevicesCommand& command, std::ostream& out) {
  const int cores = host_devices();
  const Profile::Device host = describe_host(cores);
  const GpuSearch search = find_gpus();
  if (command.json) return print_json(host, cores, search, out);
  out << fmt::format("host: {}, {} cores, {}\n", host.name, cores, format(host.memory));
  for (const GpuDescription& gpu : search.gpus) {
    out << fmt::format("cuda: {}, {} multiprocessors, {}, capability {}.{}\n", gpu.name,
                       gpu.multiprocessors, format(Bytes{gpu.memory_bytes}), gpu.capability_major,
                       gpu.capability_minor);
  }
  if (search.gpus.empty()) out << "cuda: none, " << search.why_none << "\n";
}

}  // namespace foreplan
