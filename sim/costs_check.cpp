#include "sim/costs_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "sim/error.hpp"

namespace foreplan {
namespace {

void check_sizes(const TaskGraph& graph, const Costs& costs) {
  if (costs.duration.size() != graph.size() || costs.flow.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the costs have {} durations and {} flows",
                       graph.size(), costs.duration.size(), costs.flow.size()));
  }
  if (std::min(costs.dispatch, costs.handover) < Duration::zero()) {
    reject("expected dispatch and handover of at least 0 s");
  }
  if (!costs.issued.empty() && costs.issued.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the costs have {} instants of issue", graph.size(),
                       costs.issued.size()));
  }
  if (!costs.demand.empty() && costs.demand.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the costs have {} demands", graph.size(),
                       costs.demand.size()));
  }
  for (const Demand& demand : costs.demand) {
    if (!(demand.multiprocessors >= 0 && demand.bandwidth >= 0)) {
      reject("expected demands of at least 0");
    }
    if (!(demand.slowdown >= 1)) {
      reject(fmt::format("expected slowdowns of at least 1, got {}", demand.slowdown));
    }
  }
}

/// What the bits of all durations and flows are together: negative if one is, 0 if all are.
struct Together {
  std::int64_t durations = 0, flows = 0;
};

Together together(const Costs& costs) {
  Together all;
  for (const Duration duration : costs.duration) all.durations |= duration.count();
  for (const Bytes flow : costs.flow) all.flows |= flow.count;
  return all;
}

void check_tasks(const TaskGraph& graph, const Costs& costs) {
  for (std::size_t t = 0; t < graph.size(); ++t) {
    if (costs.duration[t] < Duration::zero() || costs.flow[t] < Bytes{}) {
      reject(fmt::format("task '{}' has a negative cost", task_name(graph, TaskId(t))));
    }
    if (costs.flow[t] > Bytes{} && graph.kind[t] != TaskKind::transfer) {
      reject(fmt::format("task '{}' is no transfer but has a flow", task_name(graph, TaskId(t))));
    }
  }
}

}  // namespace

bool check_costs(const TaskGraph& graph, const Costs& costs) {
  check_sizes(graph, costs);
  const Together all = together(costs);
  if (all.durations < 0 || all.flows != 0) check_tasks(graph, costs);
  return !costs.demand.empty() || all.flows != 0;
}

void check_replayable(const TaskGraph& graph, const Costs& costs) {
  if (!check_costs(graph, costs)) return;
  reject("tasks share links or processors: replay knows durations only");
}

}  // namespace foreplan
