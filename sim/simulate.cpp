#include "sim/simulate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/engine.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

void check_costs(const TaskGraph& graph, const Costs& costs) {
  if (costs.duration.size() != graph.size() || costs.flow.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the costs have {} durations and {} flows",
                       graph.size(), costs.duration.size(), costs.flow.size()));
  }
  if (std::min(costs.dispatch, costs.handover) < Duration::zero()) {
    reject("expected dispatch and handover of at least 0 s");
  }
  if (!costs.issued.empty() && costs.issued.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the costs have {} instants of issue",
                       graph.size(), costs.issued.size()));
  }
  if (!costs.demand.empty() && costs.demand.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the costs have {} demands", graph.size(),
                       costs.demand.size()));
  }
  for (const Demand& demand : costs.demand) {
    if (demand.multiprocessors >= 0 && demand.bandwidth >= 0) continue;
    reject("expected demands of at least 0");
  }
  for (std::size_t t = 0; t < graph.size(); ++t) {
    if (costs.duration[t] < Duration::zero() || costs.flow[t] < Bytes{}) {
      reject(fmt::format("task '{}' has a negative cost", task_name(graph, TaskId(t))));
    }
    if (costs.flow[t] > Bytes{} && graph.kind[t] != TaskKind::transfer) {
      reject(fmt::format("task '{}' is no transfer but has a flow", task_name(graph, TaskId(t))));
    }
  }
}

/// Whether tasks may feel each other: a replay will not do.
bool any_sharing(const Costs& costs) {
  return !costs.demand.empty() ||
         std::any_of(costs.flow.begin(), costs.flow.end(),
                             [](Bytes flow) { return flow > Bytes{}; });
}

Timeline replay_checked(const TaskGraph& graph, const Costs& costs) {
  const std::size_t streams = graph.stream_names.size();
  std::vector<Duration> stream_free(static_cast<std::size_t>(graph.devices) * streams);
  Timeline timeline{std::vector<Duration>(graph.size()), std::vector<Duration>(graph.size())};
  for (const TaskId task : graph.order) {
    const std::size_t t = index(task);
    Duration start = costs.issued.empty() ? Duration{} : costs.issued[t];
    for (const TaskId p : graph.after[t]) {
      const bool here = graph.device[index(p)] == graph.device[t];
      const Duration done = timeline.finish[index(p)];
      start = std::max(start, here ? done : done + costs.handover);
    }
    Duration* free = nullptr;
    if (graph.stream[t] != kNoStream) {
      free = &stream_free[index(graph.device[t]) * streams + index(graph.stream[t])];
      start = std::max(start, *free) + costs.dispatch;
    }
    timeline.start[t] = start;
    timeline.finish[t] = start + costs.duration[t];
    if (free != nullptr) *free = timeline.finish[t];
  }
  return timeline;
}

}  // namespace

SimulationResult simulate(const TaskGraph& graph, const Costs& costs, const Cluster& cluster) {
  check_costs(graph, costs);
  if (graph.devices > cluster.devices()) {
    reject(fmt::format("the task graph uses {} devices, but cluster '{}' has {}", graph.devices,
                       cluster.name(), cluster.devices()));
  }
  if (any_sharing(costs)) return run_events(graph, costs, cluster);
  return {replay_checked(graph, costs), std::vector<LinkUse>(cluster.links().size())};
}

Timeline replay(const TaskGraph& graph, const Costs& costs) {
  check_costs(graph, costs);
  if (any_sharing(costs)) reject("tasks share links or processors: replay knows durations only");
  return replay_checked(graph, costs);
}

}  // namespace foreplan
