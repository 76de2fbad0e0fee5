#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/cuda/plugin_interface.hpp"

namespace foreplan {

/// The GPUs of this machine, or why there are none.
struct GpuSearch {
  std::vector<GpuDescription> gpus;
  std::string why_none;  ///< empty where there are some
};

/// Opens the CUDA plugin beside the command, or in ../lib, and asks it. The command itself links no
/// CUDA library, so it starts fast and runs without one.
GpuSearch find_gpus();

/// The same with the plugin at `plugin`.
GpuSearch find_gpus(const std::filesystem::path& plugin);

}  // namespace foreplan
