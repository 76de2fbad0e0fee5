#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/gradient_sync.hpp"
#include "planner/pipeline_evaluator.hpp"
#include "planner/rank_groups.hpp"
#include "planner/replicas.hpp"
#include "planner/sharded_walk.hpp"
#include "planner/stage_layout.hpp"
#include "planner/stage_memory.hpp"
#include "planner/unit_cost.hpp"
#include "planner/unit_table.hpp"
#include "sim/caching_allocator.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// A folded step as tasks, a device for each stage.
struct FoldedGraph {
  TaskGraph graph;
  Costs costs;  ///< for replay() and simulate()
};

/// What steps of one task may share, so that a search makes each once; what is null a step makes itself.
struct SharedParts {
  std::shared_ptr<const UnitChain> chain{};
  std::shared_ptr<const UnitTable> units{};  ///< of the strategy's tp, cp, ep, sp, micro-batch
  std::shared_ptr<const PipelineEvaluator> pipeline{};  ///< of the strategy's shape
  std::optional<Flops> sample_flops{};                  ///< of one sample's products
};

/// The task as folded steps take it: a device that does everything itself hides nothing.
Task folded_task(Task task);

/// Of the products that one sample takes, forward and backward.
Flops flops_of_sample(const Task& task);

/// The pipeline that a strategy of the task is.
/// @throws Error(invalid_argument) as pipeline_shape()
PipelineShape folded_shape(const Task& task, const Strategy& strategy);

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
///   all gradients known to all (clip_gradients); optimizer; with zero 1 and 2 the parameters gathered;
///   Stack::host_step
///
/// docs/planner.md has each term. Model and cluster of the task must outlive it.
class FoldedStep {
 public:
  /// @param shared  parts that fit this strategy, made before
  /// @throws Error(invalid_argument) with the reason if the strategy cannot be laid out
  FoldedStep(const Task& task, const Strategy& strategy, const SharedParts& shared = {});

  /// Whether every device's peak fits in its memory.
  bool feasible() const { return base_.feasible; }
  Bytes peak_memory() const { return base_.peak_memory; }

  /// The strategy, complete: micro-batch and layers told.
  const Strategy& strategy() const { return strategy_; }
  /// Where estimates keep their intermediate times; reused, pipelines allocate nothing.
  struct Workspace {
    PipelineEvaluator::Scratch scratch{};
    PipelineEvaluator::Tails tails{};
  };
  /// The memory of each stage's fullest device, whatever the costs.
  const std::vector<StageMemory>& memory() const { return base_.stages; }
  Bytes context_bytes() const { return task_.stack.context_bytes; }
  Estimate estimate(const CostModel& costs) const;
  Estimate estimate(const CostModel& costs, Workspace& workspace) const;
  /// The same step as tasks: an action of a stage each, transfers between stages, and what follows the
  /// pipeline, with their durations. Its makespan is the estimate's step time.
  FoldedGraph graph(const CostModel& costs) const;
  /// What a caching allocator makes of a stage's device, whatever the costs: the allocations and frees of
  /// its schedule, a tensor each. Where memory is laid out as it was some periods of the schedule ago, what
  /// repeats is skipped, unless the `whole` schedule is asked for: the result is the same. Some 50 ns for
  /// each of them, so not for the inner loop of a search.
  /// @throws Error(invalid_argument) if there is no such stage, or its device holds more than 1 EiB
  AllocatorStats allocator_stats(int stage, bool whole = false) const;

 private:
  class GraphWriter;
  class StageAllocations;
  using Piece = UnitPiece;
  /// A virtual stage's work on one micro-batch.
  struct Chunk {
    VirtualStageCost cost;               ///< exchanges included
    Duration computing{}, exchanging{};  ///< parts of it
    Duration tail{};                     ///< reductions behind the last micro-batch
    LastBackward last;
  };
  /// A stage's part of the pipeline.
  struct StageTimes {
    Duration computing{}, exchanging{};  ///< of all micro-batches
    std::vector<LastBackward> last;      ///< by chunk, in order of start
    Duration finish{};
  };
  /// What a stage does behind the pipeline.
  struct StageEnd {
    Duration finish{};      ///< of the pipeline
    Duration ready{};       ///< gradients aggregated, their norm known
    Duration exchanging{};  ///< of the time between, what it exchanged
    Duration update{}, gather{};
    Duration host{};  ///< waiting for it, once a step
    Duration step_end() const { return ready + update + gather + host; }
  };
  struct PricedUnit {
    UnitCost cost;
    ShardedUnit forward, backward;     ///< with zero >= 2
    std::optional<ShardedUnit> again;  ///< the forward that repeats, where it gathers for itself
  };
  class Pricer;
  /// Two stages that hold the same parameters and add up their gradients.
  struct SharedGradients {
    std::size_t a = 0, b = 0;
    Duration time{};
  };

  // Lowering, in this order.
  bool offloads(Offload what) const {
    return strategy_.offload == what || strategy_.offload == Offload::all;
  }
  void lay_out_stages();
  std::vector<Piece> pieces_of(const std::vector<UnitRun>& runs) const;
  void count_state();
  void plan_exchanges();
  Duration hop_time(int from, int to) const;
  void plan_ends();
  void plan_memory();
  void count_flops();
  void limit_to_moving(std::vector<Bytes>& activations,
                       const std::vector<ChunkMemory>& chunks) const;
  Bytes saved(int virtual_stage) const;
  /// The part of it that stays on the device.
  Bytes held(int virtual_stage) const {
    return offloads(Offload::activations) ? Bytes{} : saved(virtual_stage);
  }
  StageHolding holding(int stage, Bytes activations) const;
  const DeviceSpec& spec(const DeviceKind& kind) const;

  // Pricing.
  Chunk price_chunk(std::size_t virtual_stage, Pricer& pricer) const;
  void move_activations(Chunk& chunk, Bytes kept, const DeviceSpec& device) const;
  void walk(Chunk& chunk, const std::vector<ShardedUnit>& forward,
            const std::vector<ShardedUnit>& backward, const CostModel::Overlap& overlap) const;
  std::vector<Chunk> price_chunks(const Replica& replica, const CostModel& costs) const;
  PipelineCosts pipeline_costs(const std::vector<Chunk>& chunks) const;
  std::vector<StageTimes> run(const Replica& replica, const CostModel& costs,
                              Workspace& workspace) const;
  std::vector<StageTimes> run_all(const CostModel& costs, Workspace& workspace) const;
  static void aggregate(std::vector<StageTimes>& stages, const std::vector<StageTimes>& other);
  void wait_for_norm(std::vector<StageEnd>& ends) const;
  std::vector<StageEnd> ends_of(const std::vector<StageTimes>& stages,
                                const CostModel& costs) const;
  Duration optimizer_time(std::size_t stage, const CostModel& costs) const;
  std::optional<Duration> measured_update(std::size_t stage, const CostModel& costs) const;
  void fill_rates(Estimate& result) const;

  const Task task_;
  std::shared_ptr<const UnitChain> shared_chain_;
  const UnitChain& chain_;
  Strategy strategy_;
  BatchSplit batch_;
  PipelineShape shape_;
  std::shared_ptr<const PipelineEvaluator> pipeline_;
  const PipelineEvaluator& evaluator_;
  RankGroups groups_;
  std::shared_ptr<const UnitTable> units_;
  const std::vector<UnitWork>& works_;                     ///< by unit class
  std::vector<Replica> replicas_;                          ///< distinct
  std::vector<std::vector<Piece>> stages_;                 ///< by virtual stage
  std::vector<std::vector<std::vector<Piece>>> by_stage_;  ///< the same, by stage
  std::vector<StageState> states_;                         ///< by stage
  std::int64_t tied_ = 0;             ///< parameters of a table that two stages hold
  std::vector<ShardedUnit> sharded_;  ///< by unit class: what zero >= 2 gathers and reduces
  std::vector<std::vector<BucketSend>> buckets_;  ///< by virtual stage
  std::vector<HopCost> hops_;
  std::vector<SharedGradients> shared_;
  Duration norm_{};                       ///< until all stages know the norm of all gradients
  std::vector<Duration> gathers_;         ///< by stage: updated parameters
  std::vector<std::vector<Op>> updates_;  ///< by stage: the optimizer's ops
  Estimate base_;                         ///< what no cost changes: strategy, memory
  Flops sample_flops_, model_flops_, executed_flops_;
};

}  // namespace foreplan
