#pragma once

#include "planner/estimate.hpp"

namespace foreplan {

/// Refuses what no step can be, before anything is counted: sizes below 1, more devices than there are, and
/// whatever would be ignored because the network or the rest of the strategy has nothing that it changes.
/// @throws Error(invalid_argument) with the reason
void check_step(const Task& task, const Strategy& strategy);

}  // namespace foreplan
