#include "planner/unit_table.hpp"

#include <algorithm>

#include "planner/rank_unit.hpp"

namespace foreplan {
UnitTable::UnitTable(const Task& task, const UnitChain& chain, const Strategy& strategy,
                     const RankGroups& groups) {
  const UnitSetting setting = unit_setting(task, strategy);
  works_.reserve(chain.classes.size());
  for (const UnitClass& unit : chain.classes) {
    works_.push_back(rank_unit(task, unit, setting, groups));
    names_.push_back(unit_name(task.model, unit.range));
  }
}

UnitTable::UnitTable(const Task& task, const UnitTable& lowered, const RankGroups& groups)
    : works_(lowered.works_), names_(lowered.names_) {
  for (UnitWork& work : works_) {
    for (Exchange& exchange : work.exchanges) {
      exchange.time = exchange_time(exchange, groups, task.stack);
    }
  }
}

bool UnitTable::exchanges_within(const UnitTable& other) const {
  for (std::size_t c = 0; c < works_.size(); ++c) {
    const std::vector<Exchange>&mine = works_[c].exchanges, &theirs = other.works_[c].exchanges;
    for (std::size_t e = 0; e < mine.size(); ++e) {
      if (mine[e].time > theirs[e].time) return false;
    }
  }
  return true;
}

Pricing unit_pricing(const Task& task, const Strategy& strategy, const DeviceKind& kind,
                     Recompute recompute, const CostModel& costs) {
  return {.costs = costs,
          .spec = task.cluster.specs()[static_cast<std::size_t>(kind.spec)],
          .stack = task.stack,
          .context_ranks = strategy.cp,
          .tensor_ranks = strategy.sp ? strategy.tp : 1,
          .recompute = recompute,
          .slowdown = kind.slowdown};
}

std::optional<LayerTimes> UnitTable::measured(const Task& task, const Strategy& strategy,
                                              std::size_t unit_class,
                                              const CostModel& costs) const {
  return costs.layer_times({.model = task.model.name(),
                            .layer = names_[unit_class],
                            .tp = strategy.tp,
                            .micro_batch = strategy.micro_batch.value_or(0)});
}

void UnitTable::price_all(const Task& task, const Strategy& strategy,
                          const std::vector<DeviceKind>& kinds) {
  costs_ = &task.costs;
  kinds_ = kinds;
  prices_.resize(kinds.size());
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    for (const Recompute recompute : kRecomputes) {
      Pricing pricing = unit_pricing(task, strategy, kinds[k], recompute, task.costs);
      std::vector<UnitCost>& prices = prices_[k][static_cast<std::size_t>(recompute)];
      for (std::size_t c = 0; c < works_.size(); ++c) {
        pricing.measured = measured(task, strategy, c, task.costs);
        prices.push_back(price(works_[c], pricing));
      }
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
