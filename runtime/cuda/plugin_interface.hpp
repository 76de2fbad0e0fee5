#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/cuda/cuda_options.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// A GPU as the CUDA runtime describes it.
struct GpuDescription {
  std::string name;
  std::string bus_id;  ///< "0000:0f:00.0"
  Bytes memory;
  int capability_major = 0, capability_minor = 0;
  int multiprocessors = 0;
  // Of a multiprocessor:
  int threads = 0, blocks = 0, registers = 0, shared_bytes = 0;
  double clock_mhz = 0;        ///< at most
  Bandwidth memory_bandwidth;  ///< of the memory's clock and width
};

/// What the plugin libforeplan_cuda.so offers. Command and plugin are of one build: C++ types and
/// Error cross the border.
struct CudaPlugin {
  const char* version;  ///< of foreplan
  /// At least one. @throws Error(unavailable) telling why there is none
  std::vector<GpuDescription> (*find_gpus)();
  /// "driver 13.0, runtime 13.0, cuBLASLt 13.0.2"
  std::string (*software)();
  /// As CudaBackend's constructor.
  std::unique_ptr<Backend> (*make_backend)(const CudaOptions& options);
};

using CudaPluginEntry = const CudaPlugin* (*)();
inline constexpr char kCudaPluginSymbol[] = "foreplan_cuda";
inline constexpr char kCudaPluginFile[] = "libforeplan_cuda.so";

}  // namespace foreplan
