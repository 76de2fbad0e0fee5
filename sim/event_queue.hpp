#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// The instants at which tasks are due: at most one a task, which may be moved.
///
/// The earliest comes first; of events at one instant, that of the smallest task id. A heap of four
/// children a node that knows where each task stands: `set` and `pop` are O(log events).
class EventQueue {
 public:
  struct Event {
    Duration at{};
    TaskId task{};
    friend auto operator<=>(const Event&, const Event&) = default;
  };

  /// @param tasks  ids are below this
  explicit EventQueue(std::size_t tasks) : place_(tasks, kAbsent) {}

  bool empty() const { return heap_.empty(); }
  const Event& top() const { return heap_.front(); }

  /// Adds the event of `task`, or moves the one that it has.
  void set(TaskId task, Duration at);
  /// Takes away the earliest event, of which there must be one.
  void pop();

 private:
  static constexpr std::int32_t kAbsent = -1;

  void put(std::size_t place, const Event& event);
  void sink(std::size_t place, const Event& event);
  void rise(std::size_t place, const Event& event);

  std::vector<Event> heap_;
  std::vector<std::int32_t> place_;  ///< by task: where in heap_
};

}  // namespace foreplan
