#include "sim/simulate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/costs_check.hpp"
#include "sim/engine.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

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
  const bool sharing = check_costs(graph, costs);
  if (graph.devices > cluster.devices()) {
    reject(fmt::format("the task graph uses {} devices, but cluster '{}' has {}", graph.devices,
                       cluster.name(), cluster.devices()));
  }
  if (sharing) return Engine(graph, cluster).run(costs);
  return {replay_checked(graph, costs), std::vector<LinkUse>(cluster.links().size())};
}

Timeline replay(const TaskGraph& graph, const Costs& costs) {
  check_replayable(graph, costs);
  return replay_checked(graph, costs);
}

}  // namespace foreplan
