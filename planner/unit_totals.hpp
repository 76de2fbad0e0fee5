#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/rank_groups.hpp"
#include "planner/replicas.hpp"
#include "planner/stage_layout.hpp"
#include "planner/unit_cost.hpp"

namespace foreplan {

/// What all units of a chain take of one micro-batch [ps]: enough for what hangs on no stage.
struct UnitTotals {
  std::int64_t forward = 0, input = 0;  ///< of every unit the least on any kind of device
  std::int64_t least_layer = 0;         ///< the least that a layer takes in all, on any kind
  std::int64_t whole = 0;               ///< forward and backward on the first kind
  /// How fast each kind is at least, over the first: the least ratio of a unit's times.
  std::vector<double> paces;
};

/// Of units that cost so, by kind of device and unit class.
UnitTotals unit_totals(const UnitChain& chain, std::span<const std::vector<UnitCost>> by_kind);

/// Of a strategy's units, nothing recomputed: lowered and priced for this alone.
/// @param strategy  its micro-batch told; dp as far as `groups` knows it
/// @throws Error(invalid_argument) naming the layer if tp, cp or ep cannot share it
UnitTotals unit_totals(const Task& task, const UnitChain& chain, const Strategy& strategy,
                       const RankGroups& groups, std::span<const DeviceKind> kinds);

/// By unit class forward, backward of the input and of the weights, each the least on any kind.
std::vector<UnitCost> least_costs(std::span<const std::vector<UnitCost>> by_kind);

/// Forward and backward of a unit.
inline Duration whole(const UnitCost& cost) {
  return cost.whole_forward() + cost.whole_backward_input() + cost.backward_weight;
}

}  // namespace foreplan
