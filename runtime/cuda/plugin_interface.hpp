#pragma once

#include <cstdint>

namespace foreplan {

/// A GPU as the CUDA runtime describes it: what crosses from the plugin to the command, by value.
struct GpuDescription {
  char name[256] = {};
  std::int64_t memory_bytes = 0;
  std::int32_t multiprocessors = 0;
  std::int32_t capability_major = 0, capability_minor = 0;
};

/// The plugin's one exported function, `foreplan_find_gpus`: fills up to `capacity` descriptions.
/// @param why  where there are none: room for `why_size` characters that tell the reason
/// @return     how many there are; may exceed `capacity`
using FindGpus = std::int32_t (*)(GpuDescription* gpus, std::int32_t capacity, char* why,
                                  std::int32_t why_size);
inline constexpr char kFindGpusSymbol[] = "foreplan_find_gpus";
inline constexpr char kCudaPluginFile[] = "libforeplan_cuda.so";

}  // namespace foreplan
