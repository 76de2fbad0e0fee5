#pragma once

#include <cstdint>
#include <vector>

#include "sim/cost_model.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// A task graph compiled to be replayed many times, each time at other costs.
///
///   Replayer replayer(graph);
///   for (const Costs& costs : candidates) best = std::min(best, replayer.makespan(costs));
///
/// Answers are those of `simulate` where nothing is shared, to the picosecond. Compiling puts tasks
/// in the order of the graph and drops predecessors that others imply (sim/waits.hpp). It is
/// O(tasks + dependencies), and so is a replay, with a small constant and without allocation.
///
/// A Replayer has room to work in, so one thread uses it at a time.
class Replayer {
 public:
  /// @param graph  must outlive the replayer
  explicit Replayer(const TaskGraph& graph);

  /// When the last task ends.
  /// @throws Error(invalid_argument) as `replay` does
  Duration makespan(const Costs& costs);
  /// When each task runs.
  /// @throws Error(invalid_argument) as `replay` does
  Timeline timeline(const Costs& costs);
  /// The same into `timeline`, whose memory is used again.
  void replay(const Costs& costs, Timeline& timeline);

  /// Predecessors in other streams that a replay looks at.
  std::size_t dependencies() const { return dependencies_; }

 private:
  /// The task at one place of the order. Places count from 1; place 0 stands for the start.
  struct Step {
    std::uint32_t before = 0;  ///< place of the task before in the stream * 2 + (has a stream)
    std::uint32_t first = 0;  ///< one predecessor: place * 4 + (other device) * 2 + (more_ goes on)
  };

  void add_predecessors(std::size_t i, const std::vector<std::uint32_t>& predecessors);
  template <bool in_order, bool with_start>
  Duration run(const Costs& costs, Duration* start);
  template <bool in_order, bool with_start, bool issues>
  Duration run(const Costs& costs, Duration* start_of);

  const TaskGraph& graph_;
  bool in_order_ = true;  ///< the order of the graph is that of ids
  std::vector<Step> steps_;
  std::vector<std::uint32_t> more_;  ///< further predecessors, as `first`, step by step
  std::vector<Duration> finish_;     ///< by place
  std::size_t dependencies_ = 0;
};

}  // namespace foreplan
