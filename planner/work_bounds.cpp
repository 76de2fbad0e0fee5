#include "planner/work_bounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "planner/rank_unit.hpp"
#include "planner/step_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

Duration backward_of(const VirtualStageCost& cost) {
  return cost.backward_input + cost.backward_weight;
}

bool is_split(Schedule schedule) {
  return schedule == Schedule::zb_h1 || schedule == Schedule::zb_h2 || schedule == Schedule::zb_v;
}

/// Where only some layers are recomputed, none is counted.
Recompute recomputed(const Strategy& strategy) {
  return strategy.recompute_layers ? Recompute::none : strategy.recompute;
}

/// Replicas matter to where experts lie, and to nothing else that units do.
int expert_replicas(const Strategy& strategy) { return strategy.ep > 1 ? strategy.dp : 1; }

VirtualStageCost& operator+=(VirtualStageCost& sum, const VirtualStageCost& cost) {
  sum.forward += cost.forward;
  sum.backward_input += cost.backward_input;
  sum.backward_weight += cost.backward_weight;
  return sum;
}

/// The formula of the class.
/// @param chunks  by virtual stage
Duration pipeline_bound(const PipelineShape& shape, std::span<const VirtualStageCost> chunks) {
  const auto p = static_cast<std::size_t>(shape.stages);
  std::vector<VirtualStageCost> stages(p);
  for (std::size_t j = 0; j < chunks.size(); ++j) {
    stages[static_cast<std::size_t>(stage_of(shape, static_cast<int>(j)))] += chunks[j];
  }
  const std::int64_t m = shape.micro_batches;
  const bool split = is_split(shape.schedule);
  Duration bound{};
  VirtualStageCost before;  // of the first chunks of the stages before
  for (std::size_t i = 0; i < p; ++i) {
    const VirtualStageCost& stage = stages[i];
    const Duration back = split ? before.backward_input : backward_of(before);
    const Duration chain = stage.forward + (split ? stage.backward_input : backward_of(stage));
    bound = std::max(bound, before.forward + std::max(m * stage.whole(), m * chain + back));
    before += chunks[i];
  }
  return bound;
}

}  // namespace

WorkBounds::WorkBounds(const Task& task)
    : task_(task),
      chain_(unit_chain(task.model)),
      alike_(task.cluster.specs().size() == 1 && task.slow.empty() &&
             task.cluster.node_groups().size() <= 1) {}

std::optional<Duration> WorkBounds::bound(const Strategy& strategy, std::string& reason) const {
  try {
    return checked_bound(strategy);
  } catch (const Error& error) {
    reason = error.what();
    return std::nullopt;
  }
}

Duration WorkBounds::checked_bound(const Strategy& strategy) const {
  check_step(task_, strategy);
  const BatchSplit batch = split_batch(strategy, task_.global_batch);
  const PipelineShape shape = pipeline_shape(strategy, static_cast<int>(batch.micro_batches));
  const auto chunks = virtual_stages(strategy, shape.virtual_stages());
  const bool bounds = alike_ && !is_lowered(task_, strategy) && strategy.split_from == 0;
  return bounds ? pipeline_bound(shape, chunks) / strategy.bp : Duration::zero();
}

std::vector<int> WorkBounds::usual_layers(int parts) const {
  return task_.stack.weighed_stages ? weighed_layers(task_.model, chain_, parts)
                                    : even_layers(chain_, parts);
}

std::vector<VirtualStageCost> WorkBounds::virtual_stages(const Strategy& strategy,
                                                         int parts) const {
  const Prices& units = prices(strategy);
  const StageLayout layout =
      lay_out(chain_, strategy.layers.empty() ? usual_layers(parts) : strategy.layers);
  if (layout.size() != static_cast<std::size_t>(parts)) {
    reject(fmt::format("strategy: layers tells {} stages, expected {}", layout.size(), parts));
  }
  std::vector<VirtualStageCost> stages;
  for (const std::vector<UnitRun>& runs : layout) {
    VirtualStageCost& stage = stages.emplace_back();
    for (const UnitRun& run : runs) {
      const UnitCost& unit = units[static_cast<std::size_t>(run.unit_class)];
      stage.forward += run.count * unit.whole_forward();
      stage.backward_input += run.count * unit.whole_backward_input();
      stage.backward_weight += run.count * unit.backward_weight;
    }
  }
  return stages;
}

const WorkBounds::Prices& WorkBounds::prices(const Strategy& strategy) const {
  const Key key{strategy.tp,          strategy.cp,
                strategy.ep,          expert_replicas(strategy),
                strategy.sp,          *strategy.micro_batch,
                recomputed(strategy), unit_setting(task_, strategy).accumulated_bytes};
  const auto known = [&]() -> const Prices* {
    const auto refusal = refusals_.find(key);
    if (refusal != refusals_.end()) reject(refusal->second);
    const auto found = prices_.find(key);
    return found == prices_.end() ? nullptr : &found->second;
  };
  {
    const std::lock_guard lock(mutex_);
    if (const Prices* found = known()) return *found;
  }
  // Not under the lock: another thread may do the same, with the same result.
  try {
    Prices result = priced(strategy);
    const std::lock_guard lock(mutex_);
    return prices_.emplace(key, std::move(result)).first->second;
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    refusals_.emplace(key, error.what());
    throw;
  }
}

WorkBounds::Prices WorkBounds::priced(const Strategy& strategy) const {
  const RankGroups groups(
      task_.cluster,
      {.dp = expert_replicas(strategy), .tp = strategy.tp, .cp = strategy.cp, .ep = strategy.ep},
      task_.collectives, &task_.costs);
  const UnitSetting setting = unit_setting(task_, strategy);
  Prices result;
  for (const UnitClass& unit : chain_.classes) {
    const UnitWork work = rank_unit(task_, unit, setting, groups);
    const bool layer = unit.role == BlockRole::layer;
    result.push_back(price(
        work, {.costs = task_.costs,
               .spec = task_.cluster.device(DeviceId{0}),
               .stack = task_.stack,
               .context_ranks = strategy.cp,
               .tensor_ranks = strategy.sp ? strategy.tp : 1,
               .recompute = layer ? recomputed(strategy) : Recompute::none,
               .measured = measured_unit(task_, unit.range, strategy.tp, *strategy.micro_batch)}));
  }
  return result;
}

}  // namespace foreplan
