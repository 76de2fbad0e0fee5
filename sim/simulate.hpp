#pragma once

#include <vector>

#include "sim/cluster.hpp"
#include "sim/cost_model.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// What a link did during a simulated step.
struct LinkUse {
  Duration busy{};  ///< some transfer was moving bytes over it
  Bytes bytes;      ///< moved
};

struct SimulationResult {
  Timeline timeline;
  std::vector<LinkUse> links;  ///< by LinkId
};

/// Simulates one step of `graph` at `costs` on `cluster`. Start reading here.
///
/// A task starts when its predecessors are done (a predecessor on another device is seen `handover`
/// later) and the task before it in its stream is done, plus `dispatch`. Compute takes its
/// duration. A transfer takes its duration and then moves its flow over the links of its route,
/// which all transfers share by max-min fairness (sim/network.hpp), solved anew whenever one starts
/// or stops. Events at one instant are handled in order of task id.
///
/// Where costs tell demands, the tasks that run on one processor share it (sim/processor_sharing.hpp).
/// Where one thread hands out tasks, none starts before it was.
///
/// Where nothing is shared (all costs are durations) this is a replay in topological order.
///
/// For one graph at many costs: Replayer (sim/replayer.hpp) where nothing is shared, Engine
/// (sim/engine.hpp) where something is.
/// @throws Error(invalid_argument) if costs or cluster do not fit the graph
SimulationResult simulate(const TaskGraph& graph, const Costs& costs, const Cluster& cluster);

/// The replay alone, for costs without flows and demands: O(tasks + dependencies).
/// @throws Error(invalid_argument) if some transfer has a flow, or there are demands
Timeline replay(const TaskGraph& graph, const Costs& costs);

}  // namespace foreplan
