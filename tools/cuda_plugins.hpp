#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "profiler/cupti/plugin_interface.hpp"
#include "runtime/cuda/plugin_interface.hpp"

namespace foreplan {

/// Names folders, one or several with colons between, in which CUDA's libraries are looked for where
/// the loader does not find them by itself.
inline constexpr char kCudaLibrariesVariable[] = "FOREPLAN_CUDA_LIBRARIES";

/// The plugin for GPUs, opened from beside the command or from ../lib; the command itself links no
/// CUDA library, so it starts fast and runs without one. Never closed: CUDA does not unload cleanly.
///
/// Where a library that the plugin needs is missing, it is opened first from one of `cuda_folders()`.
/// @throws Error(unavailable) telling why there is none: the plugin is not built, a library is
///   missing, it is of another build
const CudaPlugin& cuda_plugin();
/// The same for CUPTI's.
const CuptiPlugin& cupti_plugin();

/// Opens `plugin` and finds what it exports as `symbol`.
/// @param libraries  what it needs of CUDA: file names
/// @throws Error(unavailable)
void* plugin_entry(const std::filesystem::path& plugin, const char* symbol,
                   const std::vector<std::string>& libraries);

/// Folders that may hold CUDA's libraries beside those that the loader knows: those named by the
/// variable, then nvidia/cu13/lib of the active Python environment and of the system's Pythons, and
/// lib of the active conda environment.
std::vector<std::filesystem::path> cuda_folders();

}  // namespace foreplan
