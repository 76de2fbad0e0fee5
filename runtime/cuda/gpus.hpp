#pragma once

#include <string>
#include <vector>

#include "runtime/cuda/plugin_interface.hpp"

namespace foreplan {

/// The GPUs that CUDA shows this process.
/// @throws Error(unavailable) "no CUDA driver ..." or what else keeps them away
std::vector<GpuDescription> find_gpus();

/// Versions of driver, runtime and cuBLASLt.
std::string cuda_software();

}  // namespace foreplan
