#include <algorithm>
#include <cmath>
#include <optional>

#include "models/op_cost.hpp"
#include "planner/folded_step.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {

/// Prices the pieces of one kind of device, each unit class once.
class FoldedStep::Pricer {
 public:
  Pricer(const FoldedStep& step, const DeviceKind& kind, const CostModel& costs)
      : step_(step), kind_(kind), costs_(costs), units_(3 * step.works_.size()) {}

  const DeviceSpec& device() const { return step_.spec(kind_); }
  CostModel::Overlap overlap() const { return costs_.overlap(device()); }

  const PricedUnit& unit(const Piece& piece) {
    const std::size_t place = 3 * piece.unit_class + static_cast<std::size_t>(piece.recompute);
    if (!units_[place]) units_[place] = priced(piece);
    return *units_[place];
  }

 private:
  PricedUnit priced(const Piece& piece) const {
    const UnitCost cost = cost_of(piece);
    const ShardedUnit& sharded = step_.sharded_[piece.unit_class];
    const Duration out = copies(piece, sharded.gather, step_.task_.stack.copies_parameters,
                                element_size(step_.task_.precision).count);
    const Duration in = copies(piece, sharded.reduce, step_.task_.stack.copies_gradients,
                               step_.task_.stack.gradient_bytes);
    PricedUnit unit{
        .cost = cost,
        .forward = {.compute = out + cost.whole_forward(), .gather = sharded.gather},
        .backward = {.compute = out + cost.whole_backward_input() + cost.backward_weight + in,
                     .gather = sharded.gather,
                     .reduce = sharded.reduce},
        .again = {}};
    if (step_.task_.stack.gather_again && piece.recompute == Recompute::full) {
      unit.again = {.compute = cost.recompute + cost.recompute_exchange, .gather = sharded.gather};
      unit.backward.compute -= unit.again->compute;
    }
    return unit;
  }

  /// Of a unit's numbers, read in the format that is computed in and written in `written` bytes each or the other
  /// way round, if the stack does so around an exchange that there is.
  Duration copies(const Piece& piece, Duration exchange, bool does, int written) const {
    if (!does || exchange == Duration::zero()) return {};
    const UnitWork& work = step_.works_[piece.unit_class];
    const std::int64_t numbers = work.dense_parameters + work.expert_parameters;
    Op op = make_op({.op = "copy", .shape = {numbers}, .dtype = step_.task_.precision});
    op.traffic = numbers * (element_size(step_.task_.precision) + Bytes{written});
    return costs_.compute_time(op, device()) + costs_.dispatch(device());
  }

  UnitCost cost_of(const Piece& piece) const {
    const UnitTable& units = *step_.units_;
    const UnitCost* known = units.priced(piece.unit_class, piece.recompute, kind_, costs_);
    if (known != nullptr) return *known;
    Pricing pricing = unit_pricing(step_.task_, step_.strategy_, kind_, piece.recompute, costs_);
    pricing.measured = units.measured(step_.task_, step_.strategy_, piece.unit_class, costs_);
    return price(units.works()[piece.unit_class], pricing);
  }

  const FoldedStep& step_;
  DeviceKind kind_;
  const CostModel& costs_;
  std::vector<std::optional<PricedUnit>> units_;
};

/// A virtual stage's work on one micro-batch.
FoldedStep::Chunk FoldedStep::price_chunk(std::size_t virtual_stage, Pricer& pricer) const {
  const bool sharded = strategy_.zero >= 2 && groups_.data_ranks() > 1;
  Chunk chunk;
  chunk.last.buckets = &buckets_[virtual_stage];
  std::vector<ShardedUnit> forward, backward;
  for (const Piece& piece : stages_[virtual_stage]) {
    const PricedUnit& unit = pricer.unit(piece);
    const UnitCost& cost = unit.cost;
    chunk.cost.forward += piece.count * cost.whole_forward();
    chunk.cost.backward_input += piece.count * cost.whole_backward_input();
    chunk.cost.backward_weight += piece.count * cost.backward_weight;
    chunk.exchanging +=
        piece.count * (cost.forward_exchange + cost.backward_exchange + cost.recompute_exchange);
    const auto count = static_cast<std::size_t>(piece.count);
    chunk.last.times.insert(chunk.last.times.end(), count,
                            cost.whole_backward_input() + cost.backward_weight);
    if (!sharded) continue;
    forward.insert(forward.end(), count, unit.forward);
    for (std::size_t i = 0; i < count; ++i) {
      backward.push_back(unit.backward);
      if (unit.again) backward.push_back(*unit.again);  // before it, once the order is turned
    }
  }
  std::reverse(backward.begin(), backward.end());
  std::reverse(chunk.last.times.begin(), chunk.last.times.end());
  chunk.computing = chunk.cost.whole() - chunk.exchanging;
  if (sharded) walk(chunk, forward, backward, pricer.overlap());
  if (offloads(Offload::activations)) {
    move_activations(chunk, saved(static_cast<int>(virtual_stage)), pricer.device());
  }
  return chunk;
}

/// What forward keeps goes to the host beside forward and comes back beside backward.
void FoldedStep::move_activations(Chunk& chunk, Bytes kept, const DeviceSpec& device) const {
  const Duration move = kept / device.host_bandwidth;
  const Duration before = chunk.cost.whole();
  chunk.cost.forward = std::max(chunk.cost.forward, move);
  const Duration backward = chunk.cost.backward_input + chunk.cost.backward_weight;
  chunk.cost.backward_input += std::max(Duration::zero(), move - backward);
  chunk.exchanging += chunk.cost.whole() - before;
}

/// With zero >= 2 parameters come and gradients go with every micro-batch.
void FoldedStep::walk(Chunk& chunk, const std::vector<ShardedUnit>& forward,
                      const std::vector<ShardedUnit>& backward,
                      const CostModel::Overlap& overlap) const {
  const bool prefetch = task_.stack.prefetch_parameters;
  const Duration there = walk_sharded(forward, prefetch, overlap).computed;
  const ShardedWalk back = walk_sharded(backward, prefetch, overlap);
  const Duration before = chunk.cost.whole();
  chunk.cost.forward = there;
  chunk.cost.backward_input = back.computed - chunk.cost.backward_weight;
  chunk.exchanging += chunk.cost.whole() - before;
  chunk.tail = back.communicated - back.computed;
}

std::vector<FoldedStep::Chunk> FoldedStep::price_chunks(const Replica& replica,
                                                        const CostModel& costs) const {
  std::vector<Pricer> pricers;
  for (std::size_t s = 0; s < replica.size(); ++s) {
    const auto here = replica.begin() + static_cast<std::ptrdiff_t>(s);
    const auto same = std::find(replica.begin(), here, *here);
    if (same == here)
      pricers.emplace_back(*this, *here, costs);
    else
      pricers.push_back(pricers[static_cast<std::size_t>(same - replica.begin())]);
  }
  std::vector<Chunk> chunks;
  for (std::size_t j = 0; j < stages_.size(); ++j) {
    const int stage = stage_of(shape_, static_cast<int>(j));
    chunks.push_back(price_chunk(j, pricers[static_cast<std::size_t>(stage)]));
  }
  return chunks;
}

PipelineCosts FoldedStep::pipeline_costs(const std::vector<Chunk>& chunks) const {
  PipelineCosts pipeline{.stages = {}, .hops = hops_};
  for (const Chunk& chunk : chunks) pipeline.stages.push_back(chunk.cost);
  return pipeline;
}

std::vector<FoldedStep::StageTimes> FoldedStep::run(const Replica& replica, const CostModel& costs,
                                                    Workspace& workspace) const {
  std::vector<Chunk> chunks = price_chunks(replica, costs);
  evaluator_.tails(pipeline_costs(chunks), workspace.scratch, workspace.tails);
  const PipelineEvaluator::Tails& tails = workspace.tails;
  std::vector<StageTimes> stages(static_cast<std::size_t>(shape_.stages));
  const bool two_ways = shape_.schedule == Schedule::dualpipe;
  const std::int64_t passes = two_ways ? batch_.micro_batches / 2 : batch_.micro_batches;
  for (std::size_t j = 0; j < chunks.size(); ++j) {
    Chunk& chunk = chunks[j];
    const auto s = static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)));
    StageTimes& stage = stages[s];
    stage.computing += passes * chunk.computing;
    stage.exchanging += passes * chunk.exchanging;
    chunk.last.start = tails.last_backward[j].start;
    chunk.last.finish = tails.last_backward[j].finish;
    stage.last.push_back(std::move(chunk.last));
    stage.finish = std::max(stage.finish, tails.stage_finish[s] + chunk.tail);
  }
  for (StageTimes& stage : stages) {
    std::sort(stage.last.begin(), stage.last.end(),
              [](const LastBackward& a, const LastBackward& b) { return a.start < b.start; });
  }
  return stages;
}

/// Replicas wait for each other where gradients are aggregated: the later of both counts.
void FoldedStep::aggregate(std::vector<StageTimes>& stages, const std::vector<StageTimes>& other) {
  for (std::size_t s = 0; s < stages.size(); ++s) {
    stages[s].finish = std::max(stages[s].finish, other[s].finish);
    for (std::size_t c = 0; c < stages[s].last.size(); ++c) {
      LastBackward& mine = stages[s].last[c];
      const LastBackward& theirs = other[s].last[c];
      mine.start = std::max(mine.start, theirs.start);
      mine.finish = std::max(mine.finish, theirs.finish);
      for (std::size_t u = 0; u < mine.times.size(); ++u) {
        mine.times[u] = std::max(mine.times[u], theirs.times[u]);
      }
    }
  }
}

/// Of a stage whose layers were all measured whole: the sum of their updates, of which a rank does the share
/// that its own parameters are. Empty where one of them was not.
std::optional<Duration> FoldedStep::measured_update(std::size_t stage,
                                                    const CostModel& costs) const {
  Duration sum{};
  for (std::size_t j = 0; j < stages_.size(); ++j) {
    if (static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j))) != stage) continue;
    for (const Piece& piece : stages_[j]) {
      const std::optional<LayerTimes> times =
          units_->measured(task_, strategy_, piece.unit_class, costs);
      if (!times) return std::nullopt;
      sum += piece.count * times->update;
    }
  }
  const StageState& state = states_[stage];
  const std::int64_t all = state.dense + state.expert;
  if (all == 0) return Duration{};
  const double share =
      static_cast<double>(own_parameters(state, strategy_, groups_)) / static_cast<double>(all);
  return Duration(std::llround(static_cast<double>(sum.count()) * share));
}

Duration FoldedStep::optimizer_time(std::size_t stage, const CostModel& costs) const {
  Duration slowest{};
  const std::optional<Duration> measured = measured_update(stage, costs);
  for (const Replica& replica : replicas_) {
    const DeviceSpec& device = spec(replica[stage]);
    Duration time = measured ? *measured : update_time(updates_[stage], costs, device);
    if (offloads(Offload::optimizer)) {
      // The state comes and goes beside the update, each way on its own.
      time = std::max(time, base_.stages[stage].optimizer_on_host / device.host_bandwidth);
    }
    slowest = std::max(slowest, time);
  }
  return slowest;
}

/// No stage updates before it knows the norm of all gradients: a word there and back.
void FoldedStep::wait_for_norm(std::vector<StageEnd>& ends) const {
  if (norm_ == Duration::zero()) return;
  Duration all{};
  for (const StageEnd& end : ends) all = std::max(all, end.ready);
  for (StageEnd& end : ends) {
    end.ready = all + norm_;
    end.exchanging += norm_;
  }
}

std::vector<FoldedStep::StageEnd> FoldedStep::ends_of(const std::vector<StageTimes>& stages,
                                                      const CostModel& costs) const {
  std::vector<StageEnd> ends;
  for (const StageTimes& stage : stages) {
    const DeviceSpec& device = spec(replicas_.front()[ends.size()]);
    const AggregatedGradients gradients =
        gradients_done(stage.last, task_.stack.overlap_gradients, costs.overlap(device));
    const Duration finish = std::max(stage.finish, gradients.finish);
    const Duration ready = std::max(finish, gradients.ready);
    ends.push_back({.finish = finish, .ready = ready, .exchanging = ready - stage.finish});
  }
  for (const SharedGradients& share : shared_) {
    StageEnd &a = ends[share.a], &b = ends[share.b];
    a.ready = b.ready = std::max(a.ready, b.ready) + share.time;
    a.exchanging += share.time;
    b.exchanging += share.time;
  }
  wait_for_norm(ends);
  for (std::size_t s = 0; s < ends.size(); ++s) {
    ends[s].update = optimizer_time(s, costs);
    ends[s].gather = gathers_[s];
    ends[s].host = task_.stack.host_step;
  }
  return ends;
}

std::vector<FoldedStep::StageTimes> FoldedStep::run_all(const CostModel& costs,
                                                        Workspace& workspace) const {
  std::vector<StageTimes> stages = run(replicas_.front(), costs, workspace);
  for (std::size_t r = 1; r < replicas_.size(); ++r) {
    aggregate(stages, run(replicas_[r], costs, workspace));
  }
  return stages;
}

Estimate FoldedStep::estimate(const CostModel& costs) const {
  Workspace workspace;
  return estimate(costs, workspace);
}

Estimate FoldedStep::estimate(const CostModel& costs, Workspace& workspace) const {
  const std::vector<StageTimes> stages = run_all(costs, workspace);
  const std::vector<StageEnd> ends = ends_of(stages, costs);
  Estimate result = base_;
  DeviceTime sum;
  for (std::size_t s = 0; s < ends.size(); ++s) {
    result.step_time = std::max(result.step_time, ends[s].step_end());
    sum.compute += stages[s].computing;
    sum.optimizer += ends[s].update;
    sum.exposed_communication += stages[s].exchanging + ends[s].exchanging + ends[s].gather;
  }
  const auto count = static_cast<std::int64_t>(ends.size());
  DeviceTime& mean = result.breakdown;
  mean.compute = sum.compute / count;
  mean.optimizer = sum.optimizer / count;
  mean.exposed_communication = sum.exposed_communication / count;
  mean.idle = result.step_time - mean.compute - mean.exposed_communication - mean.optimizer;
  fill_rates(result);
  return result;
}

void FoldedStep::fill_rates(Estimate& result) const {
  const double step = seconds(result.step_time);
  result.samples_per_s = step > 0 ? static_cast<double>(task_.global_batch) / step : 0;
  const Positions& rows = task_.model.input_positions();
  if (rows.source + rows.target > 0) {
    result.tokens_per_s = result.samples_per_s * static_cast<double>(rows.count(task_.lengths));
  }
  const int devices = strategy_.devices();
  result.mfu = utilisation(task_, model_flops_, result.step_time, devices);
  result.hfu = utilisation(task_, executed_flops_, result.step_time, devices);
  result.limited_by = limit_of(result);
}

}  // namespace foreplan
