#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

#include "runtime/cuda/handles.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// Timing events around every task of a step, of which one step after the other is read.
///
/// On each GPU times count from an event of its own, recorded while all GPUs are idle: between GPUs
/// they are off by as long as that takes, a few microseconds.
class StepClock {
 public:
  /// @param gpus  CUDA's number of each GPU; @param captured  the events become nodes of a graph
  StepClock(const std::vector<int>& gpus, bool captured);

  /// Sets zero; all GPUs are idle.
  void begin_step();
  void begin_task(TaskId task, std::size_t gpu, cudaStream_t stream);
  void end_task(TaskId task, cudaStream_t stream);
  /// All GPUs are idle again. The first start is zero; tasks that never ran stay at zero.
  Timeline read(std::size_t tasks) const;

 private:
  struct Pair {
    std::size_t gpu = 0;
    EventHandle begin, end;
  };
  struct Zero {
    int gpu = 0;
    StreamHandle stream;
    EventHandle event;
  };
  bool captured_;
  std::vector<Zero> zeros_;
  std::vector<Pair> tasks_;  ///< by TaskId
};

}  // namespace foreplan
