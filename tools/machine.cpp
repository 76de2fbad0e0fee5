#include "tools/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/host_backend.hpp"
#include "sim/error.hpp"
#include "tools/backends.hpp"
#include "tools/gpu_cluster.hpp"
#include "tools/host_session.hpp"
#include "tools/outputs.hpp"

namespace foreplan {
namespace {

class HostMachine final : public Machine {
 public:
  explicit HostMachine(int devices)
      : devices_(devices), cluster_(host_cluster(devices)), session_(devices) {}
  const Cluster& cluster() const override { return cluster_; }
  Session& session() override { return session_; }
  std::unique_ptr<Backend> make_backend(int devices) override {
    return std::make_unique<HostBackend>(devices);
  }
  Profile::Device describe() const override { return describe_host(devices_); }
  Sequences sequences() const override { return Sequences::together; }
  std::string where(int) const override { return "host, this machine"; }

 private:
  int devices_;
  Cluster cluster_;
  HostSession session_;
};

class CudaMachine final : public Machine {
 public:
  CudaMachine(const CudaHalf& half, int devices)
      : half_(half),
        session_(half, devices),
        cluster_(gpu_cluster(session_.gpus(), devices, nullptr)) {}
  const Cluster& cluster() const override { return cluster_; }
  Session& session() override { return session_; }
  std::unique_ptr<Backend> make_backend(int devices) override {
    return half_.cuda.make_backend({.devices = devices, .tracer = &session_.tracer()});
  }
  Profile::Device describe() const override {
    return describe_gpus(half_, session_.gpus(), session_.devices());
  }
  Sequences sequences() const override { return Sequences::apart; }
  std::string where(int devices) const override {
    const int gpus = std::min(devices, static_cast<int>(session_.gpus().size()));
    const std::string on = fmt::format("{} GPU{}", gpus, gpus == 1 ? "" : "s");
    return devices > gpus ? fmt::format("{} logical devices on {}", devices, on) : on;
  }

 private:
  CudaHalf half_;
  CudaSession session_;
  Cluster cluster_;
};

}  // namespace

void check_gpu_devices(int devices) {
  if (devices <= kMostGpuDevices) return;
  reject(fmt::format("--devices: expected at most {} with --backend cuda, got {}", kMostGpuDevices,
                     devices));
}

std::unique_ptr<Machine> host_machine(int devices) {
  return std::make_unique<HostMachine>(devices);
}

std::unique_ptr<Machine> cuda_machine(const CudaHalf& half, int devices) {
  return std::make_unique<CudaMachine>(half, devices);
}

std::unique_ptr<Machine> machine_named(const std::string& backend, int devices) {
  check_backend(backend);
  if (backend == "host") return host_machine(devices);
  check_gpu_devices(devices);
  return at_place("backend cuda", [&] { return cuda_machine(cuda_half(), devices); });
}

Profile::Device describe_gpus(const CudaHalf& half, const std::vector<GpuDescription>& gpus,
                              int devices) {
  const GpuDescription& first = gpus.front();
  Profile::Device device = describe_host(devices);
  device.name = first.name;
  device.backend = "cuda";
  device.memory = first.memory;
  device.clock_mhz = first.clock_mhz;
  device.driver = half.cuda.software();
  device.logical = devices > static_cast<int>(gpus.size());
  return device;
}

}  // namespace foreplan
