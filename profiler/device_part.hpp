#pragma once

#include "sim/task_graph.hpp"

namespace foreplan {

/// The tasks of one device as a graph of one device, in the same order with the same dependencies among
/// themselves: what that device does while no other stands in its way. Dependencies on other devices
/// are left out, as are transfers from them and collectives' names.
TaskGraph device_part(const TaskGraph& graph, DeviceId device);

}  // namespace foreplan
