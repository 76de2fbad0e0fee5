#include "planner/unit_sums.hpp"

#include <algorithm>
#include <limits>

#include "planner/optimizer_update.hpp"
#include "planner/stage_memory.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

bool is_layer(const UnitChain& chain, std::size_t unit_class) {
  return chain.classes[unit_class].role == BlockRole::layer;
}

/// Sums of what `value` says of the class of each unit.
template <typename Value>
WeightSums sums_of(const UnitChain& chain, const Value& value) {
  std::vector<std::int64_t> each;
  for (std::size_t c = 0; c < chain.classes.size(); ++c) each.push_back(value(c));
  WeightSums sums{0};
  sums.reserve(chain.units.size() + 1);
  for (const std::int32_t unit : chain.units) {
    sums.push_back(sums.back() + each[static_cast<std::size_t>(unit)]);
  }
  return sums;
}

/// The least value of a class of layers.
template <typename Value>
std::int64_t least_of(const UnitChain& chain, const Value& value) {
  std::int64_t least = kMost;
  for (std::size_t c = 0; c < chain.classes.size(); ++c) {
    if (is_layer(chain, c)) least = std::min(least, value(c));
  }
  return least == kMost ? 0 : least;
}

UnitSums::Times times_of(const UnitChain& chain, const std::vector<UnitCost>& costs) {
  const auto forward = [&](std::size_t c) { return costs[c].whole_forward().count(); };
  const auto input = [&](std::size_t c) { return costs[c].whole_backward_input().count(); };
  const auto weight = [&](std::size_t c) { return costs[c].backward_weight.count(); };
  const auto whole = [&](std::size_t c) { return forward(c) + input(c) + weight(c); };
  UnitSums::Times times{.forward = sums_of(chain, forward),
                        .input = sums_of(chain, input),
                        .weight = sums_of(chain, weight),
                        .whole = sums_of(chain, whole)};
  for (std::size_t c = 0; c < chain.classes.size(); ++c) {
    if (chain.classes[c].role == BlockRole::embedding || whole(c) == 0) continue;
    times.forward_share = std::max(times.forward_share,
                                   static_cast<double>(forward(c)) / static_cast<double>(whole(c)));
  }
  return times;
}

/// By unit class.
std::vector<UnitCost> costs_of(const UnitChain& chain, const UnitTable& table,
                               const DeviceKind& kind, Recompute recompute,
                               const CostModel& costs) {
  std::vector<UnitCost> each;
  for (std::size_t c = 0; c < chain.classes.size(); ++c) {
    each.push_back(*table.priced(c, is_layer(chain, c) ? recompute : Recompute::none, kind, costs));
  }
  return each;
}

}  // namespace

UnitSums::UnitSums(const Task& task, const UnitChain& chain,
                   std::shared_ptr<const UnitTable> lowered, const std::vector<DeviceKind>& kinds,
                   const Strategy& strategy)
    : table(std::move(lowered)) {
  times.resize(kinds.size());
  for (const Recompute recompute : kRecomputes) {
    const auto r = static_cast<std::size_t>(recompute);
    std::vector<std::vector<UnitCost>> costs;
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      costs.push_back(costs_of(chain, *table, kinds[k], recompute, task.costs));
      times[k][r] = times_of(chain, costs.back());
    }
    totals[r] = unit_totals(chain, costs);
    if (kinds.size() > 1) least_[r] = times_of(chain, least_costs(costs));
  }
  const auto work = [&](std::size_t c) -> const UnitWork& { return table->works()[c]; };
  const auto kept = [&](std::size_t c, Recompute recompute) {
    return kept_by(work(c), is_layer(chain, c) ? recompute : Recompute::none).count;
  };
  for (const Recompute recompute : kRecomputes) {
    const auto r = static_cast<std::size_t>(recompute);
    const auto value = [&](std::size_t c) { return kept(c, recompute); };
    saved[r] = sums_of(chain, value);
    least_saved[r] = least_of(chain, value);
  }
  saved_least = sums_of(chain, [&](std::size_t c) {
    return std::min(
        {kept(c, Recompute::none), kept(c, Recompute::selective), kept(c, Recompute::full)});
  });
  dense = sums_of(chain, [&](std::size_t c) { return work(c).dense_parameters; });
  expert = sums_of(chain, [&](std::size_t c) { return work(c).expert_parameters; });
  tied = sums_of(chain, [&](std::size_t c) { return work(c).tied_parameters; });
  fp8 = sums_of(chain, [&](std::size_t c) { return work(c).fp8_parameters; });
  const std::int64_t bytes =
      element_size(task.precision).count + task.stack.gradient_bytes + state_bytes(task);
  state = sums_of(chain, [&](std::size_t c) {
    return bytes * (work(c).dense_parameters + work(c).expert_parameters);
  });
  const auto measured = [&](std::size_t c) {
    return table->measured(task, strategy, c, task.costs);
  };
  update = sums_of(chain, [&](std::size_t c) {
    const std::optional<LayerTimes> found = measured(c);
    return found ? found->update.count() : 0;
  });
  unmeasured = sums_of(chain, [&](std::size_t c) { return measured(c) ? 0 : 1; });
  least_dense = least_of(chain, [&](std::size_t c) { return work(c).dense_parameters; });
  least_expert = least_of(chain, [&](std::size_t c) { return work(c).expert_parameters; });
  least_leaving = work(0).leaving;
  for (const UnitWork& each : table->works()) least_leaving = std::min(least_leaving, each.leaving);
}

}  // namespace foreplan
