#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/optimizer.hpp"
#include "profiler/op_grid.hpp"
#include "profiler/profiling.hpp"
#include "tools/cuda_session.hpp"
#include "tools/workload.hpp"

namespace foreplan {

/// What is measured on GPUs, and how much of it.
struct CudaProfiling {
  int devices = 1;
  int rounds = 3;
  GridSize grid = GridSize::whole;
  Optimizer optimizer = Optimizer::sgd;
  std::vector<Workload> workloads = default_workloads();
  Bytes largest_copy = 1_GiB;  ///< where an eighth of the memory holds it
  Bytes least_pool = 512_MiB;  ///< of operands in the grid: many times the caches
  ProfilingOptions turns{.warm_up = 1};
  int probe_steps = 20;  ///< of what issuing costs, copies and interference take fewer
  /// Told the name of each part before it is measured.
  std::function<void(const std::string& part)> progress{};
};

/// Measures on GPUs, part by part, asking for clock, power and temperature behind each:
///
/// 1. workloads: their ops in whole sequences, one device at a time, with the copies and adds that
///    their strategies need; the gap between dependent tasks, hand-over and barrier;
/// 2. products and other ops of the grid, by number format, cold;
/// 3. copies, 4 KiB to `largest_copy`: every ordered pair one way, a device within itself, both ways
///    and several pairs at once, the host to each GPU and back;
/// 4. how copies and reductions slow compute down, and it them;
/// 5. what it costs to hand out a task, the record of an event and a wait.
///
/// An op or a copy that two parts measure has the first's time.
/// @throws Error(unavailable) if there is no GPU or CUPTI is not to be had
Profile measure_gpus(const CudaHalf& half, const CudaProfiling& options);

}  // namespace foreplan
