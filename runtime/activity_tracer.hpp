#pragma once

#include <cstddef>

#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// Watches what GPUs really do while a backend issues a step: CUPTI's is made in profiler/cupti, and
/// tools/ hands it to the backend. The backend knows no more of it than this.
class ActivityTracer {
 public:
  virtual ~ActivityTracer() = default;
  /// What this thread puts on streams from here to end_task belongs to `task`.
  virtual void begin_task(TaskId task) = 0;
  virtual void end_task() = 0;
  /// What happened since the last collection; all GPUs are idle. The earliest start is zero; tasks
  /// that put nothing on a stream start and finish there. Nothing is told of disturbances.
  /// @throws Error(failed) if records were dropped
  virtual MeasuredStep collect(std::size_t tasks) = 0;
};

}  // namespace foreplan
