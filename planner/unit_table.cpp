#include "planner/unit_table.hpp"

#include <algorithm>

namespace foreplan {

UnitTable::UnitTable(const Task& task, const UnitChain& chain, const Strategy& strategy,
                     const RankGroups& groups) {
  const UnitSetting setting{.samples = *strategy.micro_batch,
                            .lengths = task.lengths,
                            .dtype = task.precision,
                            .fused_attention = task.stack.fused_attention,
                            .tp = strategy.tp,
                            .cp = strategy.cp,
                            .ep = strategy.ep,
                            .sp = strategy.sp};
  works_.reserve(chain.classes.size());
  for (const UnitClass& unit : chain.classes) {
    UnitWork work = lower_unit(task.model, unit.range, setting);
    for (Exchange& exchange : work.exchanges) {
      exchange.time = groups.time(exchange.kind, exchange.bytes, groups.of(exchange.axis));
    }
    works_.push_back(std::move(work));
  }
}

void UnitTable::price_all(const Task& task, const std::vector<DeviceKind>& kinds,
                          int context_ranks) {
  costs_ = &task.costs;
  kinds_ = kinds;
  prices_.resize(kinds.size());
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    for (const Recompute recompute : kRecomputes) {
      const Pricing pricing{.costs = task.costs,
                            .spec = task.cluster.specs()[static_cast<std::size_t>(kinds[k].spec)],
                            .stack = task.stack,
                            .context_ranks = context_ranks,
                            .recompute = recompute,
                            .slowdown = kinds[k].slowdown};
      std::vector<UnitCost>& prices = prices_[k][static_cast<std::size_t>(recompute)];
      for (const UnitWork& work : works_) prices.push_back(price(work, pricing));
    }
  }
}

const UnitCost* UnitTable::priced(std::size_t unit_class, Recompute recompute,
                                  const DeviceKind& kind, const CostModel& costs) const {
  if (&costs != costs_) return nullptr;
  const auto found = std::find(kinds_.begin(), kinds_.end(), kind);
  if (found == kinds_.end()) return nullptr;
  const Prices& prices = prices_[static_cast<std::size_t>(found - kinds_.begin())];
  return &prices[static_cast<std::size_t>(recompute)][unit_class];
}

}  // namespace foreplan
