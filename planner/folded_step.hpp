#pragma once

#include <cstdint>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/gradient_sync.hpp"
#include "planner/pipeline_evaluator.hpp"
#include "planner/rank_groups.hpp"
#include "planner/sharded_walk.hpp"
#include "planner/stage_layout.hpp"
#include "planner/unit_cost.hpp"

namespace foreplan {

/// A training step with ranks that do the same folded into one: lowered once, priced many times.
///
///   FoldedStep step(task, strategy);
///   Estimate forecast = step.estimate(task.costs);
///
/// Of each stage one device stands for all of its tensor, context and expert ranks, and one replica for
/// all that run on the same kinds of devices. A unit (a block of the network, or a layer) is lowered for
/// the rank's share, its ops are priced by the cost model, its exchanges in closed form
/// (sim/collective_cost.hpp); a pipeline evaluator orders micro-batches exactly. A step is
///
///   pipeline; gradients aggregated (beside the last backward where the stack overlaps them); the norm of
///   all gradients known to all (clip_gradients); optimizer; with zero 1 and 2 the parameters gathered
///
/// docs/planner.md has each term. Model and cluster of the task must outlive it.
class FoldedStep {
 public:
  /// @throws Error(invalid_argument) with the reason if the strategy cannot be laid out
  FoldedStep(const Task& task, const Strategy& strategy);

  /// The strategy, complete: micro-batch and layers told.
  const Strategy& strategy() const { return strategy_; }
  Estimate estimate(const CostModel& costs) const;

 private:
  /// A unit class on some virtual stage: so many of it, recomputed or not.
  struct Piece {
    std::size_t unit_class = 0;
    std::int32_t count = 0;
    Recompute recompute = Recompute::none;
  };
  /// What a stage's device is, as far as replicas differ.
  struct DeviceKind {
    std::int32_t spec = 0;
    double slowdown = 1;
    friend auto operator<=>(const DeviceKind&, const DeviceKind&) = default;
  };
  using Replica = std::vector<DeviceKind>;  ///< by stage
  struct StageTimes {
    Duration computing{}, exchanging{};  ///< of all micro-batches
    std::vector<LastBackward> last;      ///< by chunk, in order of start
    Duration finish{};                   ///< of the pipeline's part
  };
  struct PricedUnit {
    UnitCost cost;
    ShardedUnit forward, backward;  ///< with zero >= 2
  };
  class Pricer;

  void lay_out_stages();
  void lower_units();
  void find_replicas();
  void find_last_backwards();
  void check() const;
  std::vector<Piece> pieces_of(const std::vector<UnitRun>& runs) const;
  const DeviceSpec& spec(const DeviceKind& kind) const;
  std::size_t layout_of(int virtual_stage) const;
  Duration hop_time(int from, int to) const;
  std::vector<StageTimes> run(const Replica& replica, const CostModel& costs) const;
  void aggregate(std::vector<StageTimes>& stages, const std::vector<StageTimes>& other) const;
  Duration optimizer_time(int stage, const CostModel& costs) const;
  StageMemory memory_of(int stage, const std::vector<Bytes>& activations) const;
  void fill_memory(Estimate& result) const;
  void fill_rates(Estimate& result) const;
  Bytes saved(int virtual_stage) const;
  Bytes transient(int stage) const;

  const Task task_;
  Strategy strategy_;
  BatchSplit batch_;
  PipelineShape shape_;
  PipelineEvaluator evaluator_;
  RankGroups groups_;
  UnitChain chain_;
  std::vector<std::vector<Piece>> stages_;  ///< by virtual stage
  std::vector<UnitWork> works_;             ///< by unit class
  std::vector<StageState> states_;          ///< by stage
  std::int64_t tied_ = 0;                   ///< parameters of a table that two stages hold
  std::vector<Replica> replicas_;           ///< distinct
  /// By virtual stage: the place of its last backward in its stage's list of actions.
  std::vector<std::size_t> last_backward_;
};

}  // namespace foreplan
