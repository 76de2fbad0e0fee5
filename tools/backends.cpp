#include "tools/backends.hpp"

#include <fmt/format.h>

#include <vector>

#include "runtime/host_backend.hpp"
#include "sim/error.hpp"
#include "tools/cuda_plugins.hpp"
#include "tools/outputs.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

constexpr char kPlace[] = "backend cuda";

std::vector<GpuDescription> gpus() {
  return at_place(kPlace, [] { return cuda_plugin().find_gpus(); });
}

}  // namespace

void check_backend(const std::string& name) {
  if (name == "host") return;
  if (name != "cuda") reject(fmt::format("--backend: expected host or cuda, got '{}'", name));
  gpus();
}

std::unique_ptr<Backend> make_backend(const BackendChoice& choice) {
  check_backend(choice.name);
  if (choice.name == "host") return std::make_unique<HostBackend>(choice.devices);
  return at_place(kPlace, [&] {
    return cuda_plugin().make_backend({.devices = choice.devices, .graph = choice.cuda_graph});
  });
}

std::string device_name(const std::string& backend, int devices) {
  check_backend(backend);
  if (backend == "host") return describe_host(devices).name;
  const std::vector<GpuDescription> found = gpus();
  const std::string& name = found.front().name;
  const auto count = static_cast<int>(found.size());
  if (devices <= count) return name;
  return fmt::format("{} logical devices on {}{}", devices,
                     count > 1 ? fmt::format("{} ", count) : "", name);
}

}  // namespace foreplan
