#include <algorithm>
#include <optional>

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
    const auto over_replicas = [&](CollectiveKind kind, std::int64_t bytes_each) {
      const RankGroups& groups = step_.groups_;
      Duration time{};
      if (work.dense_parameters > 0) {
        time += exchange_time(kind, Bytes{work.dense_parameters * bytes_each}, groups.data());
      }
      if (work.expert_parameters > 0) {
        time +=
            exchange_time(kind, Bytes{work.expert_parameters * bytes_each}, groups.expert_data());
      }
      return time;
    };
    unit.backward.reduce =
        over_replicas(CollectiveKind::reduce_scatter, step_.task_.stack.gradient_bytes);
    if (step_.strategy_.zero == 3) {
      unit.forward.gather =
          over_replicas(CollectiveKind::all_gather, element_size(step_.task_.precision).count);
      unit.backward.gather = unit.forward.gather;
    }
    return unit;
  }

  const FoldedStep& step_;
  DeviceKind kind_;
  const CostModel& costs_;
  std::vector<std::optional<PricedUnit>> units_;
};

namespace {

/// A virtual stage's work on a micro-batch.
struct ChunkTimes {
  VirtualStageCost cost;
  Duration computing{}, exchanging{};  ///< of one micro-batch
  Duration tail{};                     ///< reductions behind the last micro-batch
};

}  // namespace

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

std::vector<FoldedStep::StageTimes> FoldedStep::run(const Replica& replica,
                                                    const CostModel& costs) const {
  std::vector<Pricer> pricers;
  for (const DeviceKind& kind : replica) {
    const auto same = std::find(
        replica.begin(), replica.begin() + static_cast<std::ptrdiff_t>(pricers.size()), kind);
    const auto place = static_cast<std::size_t>(same - replica.begin());
    pricers.push_back(place < pricers.size() ? pricers[place] : Pricer(*this, kind, costs));
  }
  const auto n = static_cast<std::size_t>(shape_.virtual_stages());
  PipelineCosts pipeline;
  std::vector<ChunkTimes> chunks(n);
  std::vector<LastBackward> last(n);
  for (std::size_t j = 0; j < n; ++j) {
    Pricer& pricer = pricers[static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)))];
    ChunkTimes& chunk = chunks[j];
    std::vector<ShardedUnit> forward, backward;
    for (const Piece& piece : stages_[j]) {
      const PricedUnit& unit = pricer.unit(piece);
      const UnitCost& c = unit.cost;
      chunk.cost.forward += piece.count * c.whole_forward();
      chunk.cost.backward_input += piece.count * c.whole_backward_input();
      chunk.cost.backward_weight += piece.count * c.backward_weight;
      chunk.exchanging +=
          piece.count * (c.forward_exchange + c.backward_exchange + c.recompute_exchange);
      for (std::int32_t i = 0; i < piece.count; ++i) {
        if (strategy_.zero >= 2) {
          forward.push_back(unit.forward);
          backward.insert(backward.begin(), unit.backward);
        }
        last[j].units.insert(last[j].units.begin(), &works_[piece.unit_class]);
        last[j].times.insert(last[j].times.begin(), unit.backward.compute);
      }
    }
    chunk.computing = chunk.cost.forward + chunk.cost.backward_input + chunk.cost.backward_weight -
                      chunk.exchanging;
    if (strategy_.zero >= 2 && groups_.data_ranks() > 1) {
      const bool prefetch = task_.stack.prefetch_parameters;
      const Duration there = walk_sharded(forward, prefetch).computed;
      const ShardedWalk back = walk_sharded(backward, prefetch);
      chunk.exchanging += there - chunk.cost.forward + back.computed - chunk.cost.backward_input -
                          chunk.cost.backward_weight;
      chunk.cost.forward = there;
      chunk.cost.backward_input = back.computed - chunk.cost.backward_weight;
      chunk.tail = back.communicated - back.computed;
    }
    pipeline.stages.push_back(chunk.cost);
  }
  for (int j = 0; j + 1 < shape_.virtual_stages(); ++j) {
    const Duration hop = has_next(shape_, j) ? hop_time(j, j + 1) : Duration{};
    pipeline.hops.push_back({.forward = hop, .backward = hop});
  }
  const auto timeline = evaluator_.timeline(pipeline);
  std::vector<StageTimes> stages(static_cast<std::size_t>(shape_.stages));
  const auto micro_batches = batch_.micro_batches;
  const std::int64_t passes =
      shape_.schedule == Schedule::dualpipe ? micro_batches / 2 : micro_batches;
  for (std::size_t j = 0; j < n; ++j) {
    const auto s = static_cast<std::size_t>(stage_of(shape_, static_cast<int>(j)));
    StageTimes& stage = stages[s];
    stage.computing += passes * chunks[j].computing;
    stage.exchanging += passes * chunks[j].exchanging;
    const ActionTimes& action = timeline[s][last_backward_[j]];
    last[j].start = action.start;
    last[j].finish = action.finish;
    stage.last.push_back(std::move(last[j]));
    stage.finish = std::max(stage.finish, timeline[s].back().finish + chunks[j].tail);
  }
  for (StageTimes& stage : stages) {
    std::sort(stage.last.begin(), stage.last.end(),
              [](const LastBackward& a, const LastBackward& b) { return a.start < b.start; });
  }
  return stages;
}

/// Replicas wait for each other where gradients are aggregated: the later of both counts.
void FoldedStep::aggregate(std::vector<StageTimes>& stages,
                           const std::vector<StageTimes>& other) const {
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

Duration FoldedStep::optimizer_time(int stage, const CostModel& costs) const {
  const StageState& state = states_[static_cast<std::size_t>(stage)];
  const std::int64_t own = own_parameters(state, strategy_, groups_);
  if (own == 0) return {};
  const bool master = task_.stack.master_weights && element_size(task_.precision).count < 4;
  const auto op = [&](std::string what) {
    return make_op({.op = std::move(what),
                    .pass = Pass::optimizer,
                    .shape = {own},
                    .dtype = master ? task_.precision : DType::fp32});
  };
  const std::string update = std::string(name(task_.optimizer)) + (master ? "_master" : "");
  Duration slowest{};
  for (const Replica& replica : replicas_) {
    const DeviceSpec& device = spec(replica[static_cast<std::size_t>(stage)]);
    Duration time = costs.compute_time(op(update), device) + costs.dispatch(device);
    if (task_.stack.clip_gradients) {
      time += costs.compute_time(op("square_sum"), device) + costs.dispatch(device);
    }
    slowest = std::max(slowest, time);
  }
  return slowest;
}

Estimate FoldedStep::estimate(const CostModel& costs) const {
  std::vector<StageTimes> stages = run(replicas_.front(), costs);
  for (std::size_t r = 1; r < replicas_.size(); ++r) aggregate(stages, run(replicas_[r], costs));
  const std::size_t p = stages.size();
  std::vector<Duration> ready(p);
  for (std::size_t s = 0; s < p; ++s) {
    ready[s] = stages[s].finish;
    if (strategy_.zero < 2) {
      ready[s] =
          std::max(ready[s], gradients_done(stages[s].last, strategy_, groups_, task_.stack));
    }
  }
  std::vector<Duration> exchanged(p);
  for (std::size_t s = 0; s < p; ++s) exchanged[s] = ready[s] - stages[s].finish;
  const auto share = [&](std::size_t a, std::size_t b, std::int64_t parameters) {
    if (a == b || parameters == 0) return;
    const Duration time =
        exchange_time(CollectiveKind::all_reduce, Bytes{parameters * task_.stack.gradient_bytes},
                      groups_.stages(static_cast<int>(a), static_cast<int>(b)));
    ready[a] = ready[b] = std::max(ready[a], ready[b]) + time;
    exchanged[a] += time;
    exchanged[b] += time;
  };
  share(0, p - 1, tied_);
  if (shape_.schedule == Schedule::dualpipe) {
    for (std::size_t s = 0; s < p / 2; ++s)
      share(s, p - 1 - s, states_[s].dense + states_[s].expert);
  }
  if (task_.stack.clip_gradients && p > 1) {
    const Duration all = *std::max_element(ready.begin(), ready.end());
    const Duration norm = groups_.stage_hop(0, static_cast<int>(p) - 1, Bytes{4}) * 2;
    for (std::size_t s = 0; s < p; ++s) {
      ready[s] = all + norm;
      exchanged[s] += norm;
    }
  }
  Estimate result;
  result.strategy = strategy_;
  DeviceTime sum;
  for (std::size_t s = 0; s < p; ++s) {
    const Duration update = optimizer_time(static_cast<int>(s), costs);
    const Duration gather =
        gather_updated(states_[s], strategy_, groups_, task_.stack, task_.precision);
    result.step_time = std::max(result.step_time, ready[s] + update + gather);
    sum.compute += stages[s].computing;
    sum.optimizer += update;
    sum.exposed_communication += stages[s].exchanging + exchanged[s] + gather;
  }
  const auto stages_count = static_cast<std::int64_t>(p);
  result.breakdown = {.compute = sum.compute / stages_count,
                      .exposed_communication = sum.exposed_communication / stages_count,
                      .optimizer = sum.optimizer / stages_count};
  result.breakdown.idle = result.step_time - result.breakdown.compute -
                          result.breakdown.exposed_communication - result.breakdown.optimizer;
  result.tasks = evaluator_.actions();
  fill_memory(result);
  fill_rates(result);
  return result;
}

}  // namespace foreplan
