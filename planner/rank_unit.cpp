#include "planner/rank_unit.hpp"

#include <algorithm>
#include <utility>

namespace foreplan {

std::string unit_name(const OpGraph& model, const UnitRange& range) {
  for (const Block& block : model.blocks()) {
    if (block.first == range.first && block.last == range.last) return block.name;
  }
  return model.layer(range.first).name;
}

std::optional<LayerTimes> measured_unit(const Task& task, const UnitRange& range, int tp,
                                        std::int64_t micro_batch) {
  return task.costs.layer_times({.model = task.model.name(),
                                 .layer = unit_name(task.model, range),
                                 .tp = tp,
                                 .micro_batch = micro_batch});
}

UnitSetting unit_setting(const Task& task, const Strategy& strategy) {
  const BatchSplit batch = split_batch(strategy, task.global_batch);
  const bool accumulates = batch.micro_batches > 1 && strategy.zero < 2;
  return {.samples = batch.micro_batch,
          .lengths = task.lengths,
          .dtype = task.precision,
          .products = task.products,
          .accumulated_bytes = accumulates ? task.stack.gradient_bytes : 0,
          .tp = strategy.tp,
          .cp = strategy.cp,
          .ep = strategy.ep,
          .sp = strategy.sp,
          .whole_experts = strategy.deals_whole_experts(),
          .stack = task.stack};
}

Duration exchange_time(const Exchange& exchange, const RankGroups& groups, const Stack& stack) {
  const auto time = [&](const GroupPlacement& placement) {
    if (exchange.axis != Axis::expert) {
      return groups.time(exchange.kind, exchange.bytes, placement);
    }
    return groups.dispatch_time(exchange.bytes, exchange.copies, stack.dispatch_once, placement);
  };
  Duration least = time(groups.of(exchange.axis));
  for (const GroupPlacement& other : groups.others(exchange.axis)) {
    least = std::min(least, time(other));
  }
  return least;
}

UnitWork rank_unit(const Task& task, const UnitClass& unit, UnitSetting setting,
                   const RankGroups& groups) {
  // The head and the embedding stay in the stored format.
  const bool inside = unit.role == BlockRole::layer || task.products != DType::fp8;
  if (!inside) setting.products.reset();
  UnitWork work = lower_unit(task.model, unit.range, setting);
  for (Exchange& exchange : work.exchanges) {
    exchange.time = exchange_time(exchange, groups, task.stack);
  }
  return work;
}

}  // namespace foreplan
