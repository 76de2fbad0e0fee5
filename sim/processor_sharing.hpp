#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// What a task wants of the processor that it runs on, as shares of the whole: of its multiprocessors
/// (the places for blocks of threads) and of its memory bandwidth.
struct Demand {
  double multiprocessors = 1;
  double bandwidth = 0;
  friend bool operator==(const Demand&, const Demand&) = default;
};

/// Tasks that run on one processor at the same time, on several streams or by several logical devices.
///
/// While the running tasks want no more than there is, each goes on as if it were alone. Beyond that
/// all are slowed alike:
///
///   rate = 1 / max(1, sum of multiprocessors, sum of bandwidth)
///
/// so that a processor never does more than it can and none of it idles while it is wanted. A GPU
/// hands out its multiprocessors block by block and not in shares; over tasks of many blocks the two
/// agree. Source: the overlap rule of docs/simulation.md, with several kernels in place of one kernel
/// and one communication.
class ProcessorSharing {
 public:
  /// @param tasks  ids are below this
  ProcessorSharing(std::size_t processors, std::size_t tasks);

  /// `task` begins at `now`; alone it would take `work`.
  void begin(TaskId task, std::int32_t processor, const Demand& demand, Duration work, Duration now);
  void end(TaskId task, Duration now);
  bool running(TaskId task) const { return place_[index(task)] >= 0; }

  struct Due {
    TaskId task{};
    Duration at{};
  };
  /// When the tasks whose rate has changed since the last call are due; valid until the next call.
  std::span<const Due> reschedule(Duration now);

 private:
  struct Running {
    TaskId task{};
    Demand demand;
    long double left = 0;  ///< picoseconds alone
  };
  struct Processor {
    std::vector<Running> running;
    Duration since{};
    double rate = 1;
    bool changed = false;
  };
  void progress(Processor& processor, Duration now);
  void mark(std::int32_t processor);

  std::vector<Processor> processors_;
  std::vector<std::int32_t> place_;  ///< by task: its processor, -1 if it does not run
  std::vector<std::int32_t> changed_;
  std::vector<Due> due_;
};

}  // namespace foreplan
