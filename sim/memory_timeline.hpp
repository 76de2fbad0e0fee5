#pragma once

#include <array>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// The memory of one device over a step.
struct DeviceMemory {
  Bytes peak;
  Duration peak_at{};  ///< the first instant of the peak
  /// What the peak consists of, by BufferCategory.
  std::array<Bytes, kBufferCategories> at_peak{};
  struct Point {
    Duration at{};
    Bytes in_use;  ///< from `at` until the next point
  };
  std::vector<Point> points;  ///< one an instant at which it changes, in order; first at 0
};

/// One entry a device. At one instant frees come before allocations, unless the freeing task starts
/// at that very instant too.
std::vector<DeviceMemory> memory_timeline(const TaskGraph& graph, const Timeline& timeline);

}  // namespace foreplan
