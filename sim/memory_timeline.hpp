#pragma once

#include <array>
#include <optional>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

using BytesByCategory = std::array<Bytes, kBufferCategories>;

/// The memory of one device over a step.
struct DeviceMemory {
  Bytes peak;
  Duration peak_at{};         ///< the first instant of the peak
  BytesByCategory at_peak{};  ///< what the peak consists of, by BufferCategory
  struct Point {
    Duration at{};
    Bytes in_use;  ///< from `at` until the next point
    BytesByCategory by_category{};
  };
  std::vector<Point> points;  ///< one an instant at which a category changes, in order; first at 0
};

/// One entry a device. At one instant frees come before allocations, unless the freeing task starts
/// at that very instant too.
/// @throws Error(invalid_argument) if the timeline has another number of tasks than the graph
std::vector<DeviceMemory> memory_timeline(const TaskGraph& graph, const Timeline& timeline);

/// A buffer that is in use at some instant.
struct Holder {
  BufferId buffer{};
  std::optional<TaskId> allocated_by{};  ///< none: it is persistent
  std::optional<TaskId> freed_by{};
};

/// The buffers that make up a device's peak: those in use at DeviceMemory::peak_at when the allocations of
/// that instant are done. The largest first, ties by id.
/// @throws Error(invalid_argument) as memory_timeline does, or if `peak_at` is negative or there is no such
///   device
std::vector<Holder> peak_holders(const TaskGraph& graph, const Timeline& timeline, DeviceId device,
                                 Duration peak_at);

/// What a caching allocator (sim/caching_allocator.hpp) makes of a device's buffers.
struct ReservedMemory {
  Bytes peak_allocated, peak_reserved;
  Duration peak_at{};  ///< the first instant at which peak_reserved is reserved
  struct Point {
    Duration at{};
    Bytes reserved;  ///< from `at` until the next point
  };
  std::vector<Point> points;  ///< first at 0; as nothing is released, reserved only grows
};

/// One entry a device: its persistent buffers in order of id, then allocations and frees in the order of
/// `memory_timeline`, of one instant and kind by task. All on one stream of memory, as PyTorch allocates on
/// the current stream, and on a device without a limit, so that cached segments are never released.
/// @throws Error(invalid_argument) as memory_timeline does, or if the buffers of a device exceed 1 EiB
std::vector<ReservedMemory> reserved_memory(const TaskGraph& graph, const Timeline& timeline);

}  // namespace foreplan
