#pragma once

#include <optional>
#include <string>

#include "profiler/cupti/plugin_interface.hpp"

namespace foreplan {

/// Asks NVML, the driver's library for that, which is opened for the question: it may not be there.
std::optional<GpuState> gpu_state(const std::string& bus_id);

}  // namespace foreplan
