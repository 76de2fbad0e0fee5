#pragma once

#include <optional>
#include <string>

#include "planner/estimate.hpp"
#include "planner/rank_groups.hpp"
#include "planner/stage_layout.hpp"

namespace foreplan {

/// What a rank of a strategy does of a step at a time.
/// @throws Error(invalid_argument) as split_batch() does
UnitSetting unit_setting(const Task& task, const Strategy& strategy);

/// A unit of a network as a rank does it, its exchanges timed.
/// @throws Error(invalid_argument) naming the layer if tp, cp or ep cannot share it, with the reason
UnitWork rank_unit(const Task& task, const UnitClass& unit, UnitSetting setting,
                   const RankGroups& groups);

/// The name of a unit's block, or of its layer.
std::string unit_name(const OpGraph& model, const UnitRange& range);
/// What its rank takes for it whole, where somebody measured that.
std::optional<LayerTimes> measured_unit(const Task& task, const UnitRange& range, int tp,
                                        std::int64_t micro_batch);

/// How long an exchange of the units takes, all groups at work at once; at least, where the groups allow any
/// order.
Duration exchange_time(const Exchange& exchange, const RankGroups& groups, const Stack& stack);

}  // namespace foreplan
