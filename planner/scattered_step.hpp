#pragma once

#include "planner/estimate.hpp"
#include "planner/folded_step.hpp"

namespace foreplan {

/// A training step of PyTorch's DataParallel: replicas of one process that device 0 serves.
///
///   scatter the samples; broadcast the parameters; forward on every device; gather the outputs;
///   loss and its gradient on device 0, for the whole batch; scatter that; backward on every device;
///   reduce the gradients to device 0; update there
///
/// One behind the other, nothing overlaps; all traffic goes through device 0. Gradients have the
/// precision of parameters.
/// Source: torch.nn.DataParallel's documentation and torch/nn/parallel/data_parallel.py.
class ScatteredStep {
 public:
  /// @throws Error(invalid_argument) if the strategy is more than dp, or the batch is not done in one go
  ScatteredStep(const Task& task, const Strategy& strategy);

  Estimate estimate() const;
  /// As tasks of device 0 and of one that stands for all others.
  FoldedGraph graph() const;

 private:
  struct Part {
    const char* name = "";
    Pass pass{};
    Duration time{};
    enum class Kind : std::uint8_t { everywhere, first, exchange } kind{};
  };
  void lower();
  void price_parts();
  void plan_memory();
  Duration time_of(const std::vector<UnitWork>& works, Pass pass) const;

  const Task task_;
  Strategy strategy_;
  RankGroups groups_;
  std::vector<UnitWork> replica_;  ///< all before the loss, a unit an instance
  UnitWork loss_;                  ///< of the whole batch
  Bytes samples_, outputs_, parameters_;
  std::int64_t parameter_count_ = 0;
  std::vector<Part> parts_;  ///< in order of time
  Estimate base_;
};

}  // namespace foreplan
