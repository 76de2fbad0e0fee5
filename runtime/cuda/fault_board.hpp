#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "runtime/cuda/cuda_call.hpp"
#include "runtime/cuda/handles.hpp"

namespace foreplan {

/// Where the kernels of one GPU report labels out of range.
class FaultBoard {
 public:
  /// A report, with whom it is from.
  struct Report {
    DeviceId device{};
    TaskId task{};
    std::int64_t classes = 0;
    std::int64_t row = 0;
    std::int32_t label = 0;
  };

  /// The GPU must be the current one.
  FaultBoard();
  /// The place for the next call's report; the same one until `take` is called.
  KernelFault* next();
  /// The last place given is this task's.
  void take(DeviceId device, TaskId task, std::int64_t classes);
  void clear() { taken_.clear(); }
  /// What was reported in the last run, forgotten thereby. The GPU is idle.
  /// @throws Error(failed) if it cannot be read
  std::vector<Report> collect();

 private:
  static constexpr std::size_t kBlock = 256;
  void add_block();

  std::deque<GpuMemory> blocks_;
  std::vector<Report> taken_;
};

}  // namespace foreplan
