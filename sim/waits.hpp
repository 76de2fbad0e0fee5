#pragma once

#include <cstdint>
#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// What each task waits for, without what other waits imply: of several predecessors in one stream
/// the last holds, as the ends of a stream's tasks never fall; those in the task's own stream are
/// implied by the task before it.
///
/// Tasks are asked for one after another, each once.
class Waits {
 public:
  /// A predecessor: (place in the order, from 1) * 4 + kElsewhere if it is on another device.
  using Edge = std::uint32_t;
  static constexpr Edge kElsewhere = 2;

  /// @throws Error(invalid_argument) if the graph has more tasks than edges have room for
  explicit Waits(const TaskGraph& graph);

  /// Place of the task before `task` in its stream, 0 if none. Tasks come in the graph's order.
  std::uint32_t before_in_stream(TaskId task);
  /// The predecessors in other streams; valid until the next call.
  const std::vector<Edge>& elsewhere(TaskId task);

 private:
  struct Kept {
    std::uint32_t by = 0;  ///< place of the task that last waited for this stream
    std::uint32_t at = 0;  ///< where in found_
  };
  void keep_last(std::uint32_t by, std::size_t stream, Edge edge);
  std::size_t slot(TaskId task) const {
    return index(graph_.device[index(task)]) * streams_ + index(graph_.stream[index(task)]);
  }

  const TaskGraph& graph_;
  std::size_t streams_;
  std::vector<std::uint32_t> place_;  ///< by task
  std::vector<std::uint32_t> last_;   ///< by device and stream: place of its last task so far
  std::vector<Kept> kept_;            ///< by device and stream
  std::vector<Edge> found_;
};

}  // namespace foreplan
