#include <algorithm>
#include <optional>
#include <string>

#include "models/op_cost.hpp"
#include "planner/folded_step.hpp"

namespace foreplan {

/// Prices the pieces of one kind of device, each unit class once.
class FoldedStep::Pricer {
 public:
  Pricer(const FoldedStep& step, const DeviceKind& kind, const CostModel& costs)
      : step_(step), kind_(kind), costs_(costs), units_(3 * step.works_.size()) {}

  const PricedUnit& unit(const Piece& piece) {
    const std::size_t place = 3 * piece.unit_class + static_cast<std::size_t>(piece.recompute);
    if (!units_[place]) units_[place] = priced(piece);
    return *units_[place];
  }

 private:
  PricedUnit priced(const Piece& piece) const {
    const UnitWork& work = step_.works_[piece.unit_class];
    PricedUnit unit{.cost = price(work, {.costs = costs_,
                                         .spec = step_.spec(kind_),
                                         .groups = step_.groups_,
                                         .stack = step_.task_.stack,
                                         .recompute = piece.recompute,
                                         .slowdown = kind_.slowdown}),
                    .forward = {},
                    .backward = {}};
    unit.forward.compute = unit.cost.whole_forward();
    unit.backward.compute = unit.cost.whole_backward_input() + unit.cost.backward_weight;
    if (step_.strategy_.zero < 2) return unit;
    unit.backward.reduce =
        over_replicas(work, CollectiveKind::reduce_scatter, step_.task_.stack.gradient_bytes);
    if (step_.strategy_.zero < 3) return unit;
    const std::int64_t size = element_size(step_.task_.precision).count;
    unit.forward.gather = over_replicas(work, CollectiveKind::all_gather, size);
    unit.backward.gather = unit.forward.gather;
    return unit;
  }

  Duration over_replicas(const UnitWork& work, CollectiveKind kind, std::int64_t size) const {
    const RankGroups& groups = step_.groups_;
    const auto time = [&](std::int64_t parameters, const GroupPlacement& group) {
      return parameters > 0 ? exchange_time(kind, Bytes{parameters * size}, group) : Duration{};
    };
    return time(work.dense_parameters, groups.data()) +
           time(work.expert_parameters, groups.expert_data());
  }

  const FoldedStep& step_;
  DeviceKind kind_;
  const CostModel& costs_;
  std::vector<std::optional<PricedUnit>> units_;
};

Duration FoldedStep::hop_time(int from, int to) const {
  const Piece& last = stages_[static_cast<std::size_t>(from)].back();
  const Bytes bytes = works_[last.unit_class].leaving;
  const bool cut = strategy_.tp > 1 && (strategy_.sp || task_.stack.scatter_activations);
  const Bytes mine = cut ? Bytes{(bytes.count + strategy_.tp - 1) / strategy_.tp} : bytes;
  Duration time = groups_.stage_hop(stage_of(shape_, from), stage_of(shape_, to), mine);
  if (cut && !strategy_.sp) {
    time += exchange_time(CollectiveKind::all_gather, bytes, groups_.of(Axis::tensor));
  }
  return time;
}

/// A virtual stage's work on one micro-batch.
FoldedStep::Chunk FoldedStep::price_chunk(const std::vector<Piece>& pieces, Pricer& pricer) const {
  Chunk chunk;
  std::vector<ShardedUnit> forward, backward;
  for (const Piece& piece : pieces) {
    const PricedUnit& unit = pricer.unit(piece);
    const UnitCost& cost = unit.cost;
    chunk.cost.forward += piece.count * cost.whole_forward();
    chunk.cost.backward_input += piece.count * cost.whole_backward_input();
    chunk.cost.backward_weight += piece.count * cost.backward_weight;
    chunk.exchanging +=
        piece.count * (cost.forward_exchange + cost.backward_exchange + cost.recompute_exchange);
    const auto count = static_cast<std::size_t>(piece.count);
    forward.insert(forward.end(), count, unit.forward);
    backward.insert(backward.end(), count, unit.backward);
    chunk.last.units.insert(chunk.last.units.end(), count, &works_[piece.unit_class]);
    chunk.last.times.insert(chunk.last.times.end(), count, unit.backward.compute);
  }
  std::reverse(backward.begin(), backward.end());
  std::reverse(chunk.last.units.begin(), chunk.last.units.end());
  std::reverse(chunk.last.times.begin(), chunk.last.times.end());
  chunk.computing = chunk.cost.whole() - chunk.exchanging;
  if (strategy_.zero >= 2 && groups_.data_ranks() > 1) walk(chunk, forward, backward);
  return chunk;
}

/// With zero >= 2 parameters come and gradients go with every micro-batch.
void FoldedStep::walk(Chunk& chunk, const std::vector<ShardedUnit>& forward,
                      const std::vector<ShardedUnit>& backward) const {
  const bool prefetch = task_.stack.prefetch_parameters;
  const Duration there = walk_sharded(forward, prefetch).computed;
  const ShardedWalk back = walk_sharded(backward, prefetch);
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
    chunks.push_back(price_chunk(stages_[j], pricers[static_cast<std::size_t>(stage)]));
  }
  return chunks;
}

PipelineCosts FoldedStep::pipeline_costs(const std::vector<Chunk>& chunks) const {
  PipelineCosts pipeline;
  for (const Chunk& chunk : chunks) pipeline.stages.push_back(chunk.cost);
  for (int j = 0; j + 1 < shape_.virtual_stages(); ++j) {
    const Duration hop = has_next(shape_, j) ? hop_time(j, j + 1) : Duration{};
    pipeline.hops.push_back({.forward = hop, .backward = hop});
  }
  return pipeline;
}

std::vector<FoldedStep::StageTimes> FoldedStep::run(const Replica& replica,
                                                    const CostModel& costs) const {
  std::vector<Chunk> chunks = price_chunks(replica, costs);
  const auto timeline = evaluator_.timeline(pipeline_costs(chunks));
  std::vector<StageTimes> stages(static_cast<std::size_t>(shape_.stages));
  const bool two_ways = shape_.schedule == Schedule::dualpipe;
  const std::int64_t passes = two_ways ? batch_.micro_batches / 2 : batch_.micro_batches;
  for (std::size_t j = 0; j < chunks.size(); ++j) {
    Chunk& chunk = chunks[j];
    const auto s = static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)));
    StageTimes& stage = stages[s];
    stage.computing += passes * chunk.computing;
    stage.exchanging += passes * chunk.exchanging;
    const ActionTimes& action = timeline[s][last_backward_[j]];
    chunk.last.start = action.start;
    chunk.last.finish = action.finish;
    stage.last.push_back(std::move(chunk.last));
    stage.finish = std::max(stage.finish, timeline[s].back().finish + chunk.tail);
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

Duration FoldedStep::optimizer_time(std::size_t stage, const CostModel& costs) const {
  const std::int64_t own = own_parameters(states_[stage], strategy_, groups_);
  if (own == 0) return {};
  const bool master = task_.stack.master_weights && element_size(task_.precision).count < 4;
  const auto op = [&](std::string what) {
    return make_op({.op = std::move(what),
                    .pass = Pass::optimizer,
                    .shape = {own},
                    .dtype = master ? task_.precision : DType::fp32});
  };
  const Op update = op(std::string(name(task_.optimizer)) + (master ? "_master" : ""));
  Duration slowest{};
  for (const Replica& replica : replicas_) {
    const DeviceSpec& device = spec(replica[stage]);
    Duration time = costs.compute_time(update, device) + costs.dispatch(device);
    if (task_.stack.clip_gradients) {
      time += costs.compute_time(op("square_sum"), device) + costs.dispatch(device);
    }
    slowest = std::max(slowest, time);
  }
  return slowest;
}

/// Two stages that hold the same parameters add up their gradients.
void FoldedStep::share(std::vector<StageEnd>& ends, std::size_t a, std::size_t b,
                       std::int64_t parameters) const {
  if (a == b || parameters == 0) return;
  const Duration time =
      exchange_time(CollectiveKind::all_reduce, Bytes{parameters * task_.stack.gradient_bytes},
                    groups_.stages(static_cast<int>(a), static_cast<int>(b)));
  const Duration ready = std::max(ends[a].ready, ends[b].ready) + time;
  for (const std::size_t s : {a, b}) {
    ends[s].ready = ready;
    ends[s].exchanging += time;
  }
}

/// No stage updates before it knows the norm of all gradients: a word there and back.
void FoldedStep::wait_for_norm(std::vector<StageEnd>& ends) const {
  if (!task_.stack.clip_gradients || ends.size() == 1) return;
  Duration all{};
  for (const StageEnd& end : ends) all = std::max(all, end.ready);
  const Duration norm = 2 * groups_.stage_hop(0, static_cast<int>(ends.size()) - 1, Bytes{4});
  for (StageEnd& end : ends) {
    end.ready = all + norm;
    end.exchanging += norm;
  }
}

std::vector<FoldedStep::StageEnd> FoldedStep::ends_of(const std::vector<StageTimes>& stages,
                                                      const CostModel& costs) const {
  std::vector<StageEnd> ends;
  for (const StageTimes& stage : stages) {
    Duration ready = stage.finish;
    if (strategy_.zero < 2) {
      ready = std::max(ready, gradients_done(stage.last, strategy_, groups_, task_.stack));
    }
    ends.push_back({.finish = stage.finish, .ready = ready, .exchanging = ready - stage.finish});
  }
  const std::size_t p = ends.size();
  share(ends, 0, p - 1, tied_);
  for (std::size_t s = 0; shape_.schedule == Schedule::dualpipe && s < p / 2; ++s) {
    share(ends, s, p - 1 - s, states_[s].dense + states_[s].expert);
  }
  wait_for_norm(ends);
  for (std::size_t s = 0; s < p; ++s) {
    ends[s].update = optimizer_time(s, costs);
    ends[s].gather = gather_updated(states_[s], strategy_, groups_, task_.stack, task_.precision);
  }
  return ends;
}

std::vector<FoldedStep::StageTimes> FoldedStep::run_all(const CostModel& costs) const {
  std::vector<StageTimes> stages = run(replicas_.front(), costs);
  for (std::size_t r = 1; r < replicas_.size(); ++r) aggregate(stages, run(replicas_[r], costs));
  return stages;
}

Estimate FoldedStep::estimate(const CostModel& costs) const {
  const std::vector<StageTimes> stages = run_all(costs);
  const std::vector<StageEnd> ends = ends_of(stages, costs);
  Estimate result;
  result.strategy = strategy_;
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
  result.tasks = evaluator_.actions();
  fill_memory(result);
  fill_rates(result);
  return result;
}

}  // namespace foreplan
