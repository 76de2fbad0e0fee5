#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "runtime/cuda/plugin_interface.hpp"

namespace {

void tell(char* why, std::int32_t why_size, const char* call, cudaError_t error) {
  if (why == nullptr || why_size <= 0) return;
  std::snprintf(why, static_cast<std::size_t>(why_size), "%s: %s", call, cudaGetErrorString(error));
}

}  // namespace

extern "C" std::int32_t foreplan_find_gpus(foreplan::GpuDescription* gpus, std::int32_t capacity,
                                           char* why, std::int32_t why_size) {
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess) {
    tell(why, why_size, "cudaGetDeviceCount", counted);
    return 0;
  }
  for (int i = 0; i < std::min(count, capacity); ++i) {
    cudaDeviceProp properties{};
    const cudaError_t asked = cudaGetDeviceProperties(&properties, i);
    if (asked != cudaSuccess) {
      tell(why, why_size, "cudaGetDeviceProperties", asked);
      return 0;
    }
    foreplan::GpuDescription& gpu = gpus[i];
    const std::string_view name(properties.name);
    name.copy(gpu.name, sizeof gpu.name - 1);
    gpu.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
    gpu.multiprocessors = properties.multiProcessorCount;
    gpu.capability_major = properties.major;
    gpu.capability_minor = properties.minor;
  }
  return count;
}
