#pragma once

#include <memory>
#include <string>

#include "profiler/session.hpp"
#include "runtime/backend.hpp"
#include "sim/cluster.hpp"
#include "sim/profile.hpp"
#include "tools/cuda_session.hpp"
#include "tools/workload.hpp"

namespace foreplan {

/// The devices that a profile and a validation work on, and how they are measured.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual const Cluster& cluster() const = 0;
  /// The profiler's.
  virtual Session& session() = 0;
  /// For a trainer, timed as the session's are.
  virtual std::unique_ptr<Backend> make_backend(int devices) = 0;
  virtual Profile::Device describe() const = 0;
  virtual Sequences sequences() const = 0;
  /// What `devices` of it are: "host", "1 GPU", "4 logical devices on 1 GPU".
  virtual std::string where(int devices) const = 0;
};

/// Host devices, one a core.
std::unique_ptr<Machine> host_machine(int devices);

/// Devices on this machine's GPUs, logical where there are more of them than GPUs.
/// @throws Error(unavailable) as CudaSession
std::unique_ptr<Machine> cuda_machine(const CudaHalf& half, int devices);

/// More logical devices than anybody measures: each pair of them copies.
inline constexpr int kMostGpuDevices = 64;
/// @throws Error(invalid_argument) naming --devices if there are more
void check_gpu_devices(int devices);

/// By the name of a backend.
/// @throws Error as check_backend
std::unique_ptr<Machine> machine_named(const std::string& backend, int devices);

/// What a profile says of GPUs.
Profile::Device describe_gpus(const CudaHalf& half, const std::vector<GpuDescription>& gpus,
                              int devices);

}  // namespace foreplan
