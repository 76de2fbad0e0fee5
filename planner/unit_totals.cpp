#include "planner/unit_totals.hpp"

#include <algorithm>
#include <limits>

#include "planner/rank_unit.hpp"
#include "planner/unit_table.hpp"

namespace foreplan {
namespace {

/// The least ratio of a unit's times on two kinds of devices.
double pace_of(std::span<const UnitCost> here, std::span<const UnitCost> first) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < here.size(); ++c) {
    const auto mine = static_cast<double>(whole(here[c]).count());
    const auto other = static_cast<double>(whole(first[c]).count());
    if (other > 0) least = std::min(least, mine / other);
  }
  return least == std::numeric_limits<double>::infinity() ? 0 : least;
}

}  // namespace

std::vector<UnitCost> least_costs(std::span<const std::vector<UnitCost>> by_kind) {
  std::vector<UnitCost> least;
  for (std::size_t c = 0; c < by_kind.front().size(); ++c) {
    UnitCost lowest{Duration::max(), Duration::max(), Duration::max()};
    for (const std::vector<UnitCost>& costs : by_kind) {
      lowest.forward = std::min(lowest.forward, costs[c].whole_forward());
      lowest.backward_input = std::min(lowest.backward_input, costs[c].whole_backward_input());
      lowest.backward_weight = std::min(lowest.backward_weight, costs[c].backward_weight);
    }
    least.push_back(lowest);
  }
  return least;
}

UnitTotals unit_totals(const UnitChain& chain, std::span<const std::vector<UnitCost>> by_kind) {
  UnitTotals totals;
  const std::vector<UnitCost> least = least_costs(by_kind);
  for (const std::int32_t unit : chain.units) {
    const auto c = static_cast<std::size_t>(unit);
    totals.forward += least[c].forward.count();
    totals.input += least[c].backward_input.count();
    totals.whole += whole(by_kind.front()[c]).count();
  }
  Duration layer = Duration::max();
  for (std::size_t c = 0; c < least.size(); ++c) {
    if (chain.classes[c].role == BlockRole::layer) layer = std::min(layer, whole(least[c]));
  }
  if (layer != Duration::max()) totals.least_layer = layer.count();
  for (const std::vector<UnitCost>& costs : by_kind) {
    totals.paces.push_back(pace_of(costs, by_kind.front()));
  }
  return totals;
}

UnitTotals unit_totals(const Task& task, const UnitChain& chain, const Strategy& strategy,
                       const RankGroups& groups, std::span<const DeviceKind> kinds) {
  UnitSetting setting = unit_setting(task, strategy);
  setting.memory = false;
  std::vector<std::vector<UnitCost>> by_kind(kinds.size());
  for (const UnitClass& unit : chain.classes) {
    const UnitWork work = rank_unit(task, unit, setting, groups);
    const auto measured = measured_unit(task, unit.range, strategy.tp, *strategy.micro_batch);
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      Pricing pricing = unit_pricing(task, strategy, kinds[k], Recompute::none, task.costs);
      pricing.measured = measured;
      by_kind[k].push_back(price(work, pricing));
    }
  }
  return unit_totals(chain, by_kind);
}

}  // namespace foreplan
