#pragma once

#include "sim/cost_model.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// Checks that costs fit the graph: every duration, flow and demand at least 0, flows of transfers
/// only.
/// @return whether tasks may feel each other, by flows or demands: a replay will not do
/// @throws Error(invalid_argument) naming the task
bool check_costs(const TaskGraph& graph, const Costs& costs);

/// The same for a replay.
/// @throws Error(invalid_argument) too if something flows or demands
void check_replayable(const TaskGraph& graph, const Costs& costs);

}  // namespace foreplan
