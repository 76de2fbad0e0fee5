#pragma once

#include <string_view>

#include "planner/estimate.hpp"

namespace foreplan {

/// Refuses what no step can be, before anything is counted: sizes below 1, more devices than there are, and
/// whatever would be ignored because the network or the rest of the strategy has nothing that it changes.
/// @throws Error(invalid_argument) with the reason
void check_step(const Task& task, const Strategy& strategy);

/// Refuses slow devices that the cluster does not have, and factors that are none.
/// @throws Error(invalid_argument) naming them
void check_slow(const Task& task);

/// Whether a strategy tells nothing but ranks of dp and bp, their micro-batch, how they replicate and where
/// they split.
bool only_replicates(const Strategy& strategy);

/// @param what  is forecast only if the first `devices` are all alike
/// @throws Error(invalid_argument) if they are not
void require_alike(const Task& task, int devices, std::string_view what);

}  // namespace foreplan
