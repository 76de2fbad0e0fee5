#pragma once

#include <memory>
#include <optional>
#include <string>

#include "profiler/activity_session.hpp"

namespace foreplan {

/// What a GPU's driver tells of its state, where it does.
struct GpuState {
  double clock_mhz = 0;         ///< of the multiprocessors
  double memory_clock_mhz = 0;
  double power_w = 0;
  double temperature_c = 0;
};

/// What the plugin libforeplan_cupti.so offers. Command and plugin are of one build: C++ types and
/// Error cross the border.
struct CuptiPlugin {
  const char* version;  ///< of foreplan
  /// As open_cupti_session.
  std::unique_ptr<ActivitySession> (*open)();
  /// @param bus_id  as CUDA writes it, "0000:0f:00.0"; empty if there is no driver to ask
  std::optional<GpuState> (*gpu_state)(const std::string& bus_id);
};

using CuptiPluginEntry = const CuptiPlugin* (*)();
inline constexpr char kCuptiPluginSymbol[] = "foreplan_cupti";
inline constexpr char kCuptiPluginFile[] = "libforeplan_cupti.so";

}  // namespace foreplan
