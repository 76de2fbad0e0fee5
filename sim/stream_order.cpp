#include "sim/stream_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr TaskId kNone{-1};

/// One more than the longest stretch of a cycle that a message prints in full.
constexpr std::size_t kLongCycle = 12;

/// Predecessors of every task: those that the author named, then, where `streams` are counted, the
/// one before it in its stream.
class Edges {
 public:
  Edges(const TaskGraph& graph, const std::vector<TaskId>& before, bool streams)
      : graph_(graph), before_(before), streams_(streams) {}

  template <typename Visit>
  void each_predecessor(std::size_t task, Visit visit) const {
    for (const TaskId p : graph_.after[task]) visit(p);
    if (streams_ && before_[task] != kNone) visit(before_[task]);
  }
  std::size_t size() const { return graph_.size(); }

 private:
  const TaskGraph& graph_;
  const std::vector<TaskId>& before_;
  bool streams_;
};

bool ascending(const Edges& edges) {
  bool result = true;
  for (std::size_t t = 0; t < edges.size(); ++t) {
    edges.each_predecessor(t, [&](TaskId p) { result = result && index(p) < t; });
  }
  return result;
}

Rows<TaskId> successors_of(const Edges& edges) {
  Rows<TaskId> rows;
  rows.begin.assign(edges.size() + 1, 0);
  for (std::size_t t = 0; t < edges.size(); ++t) {
    edges.each_predecessor(t, [&](TaskId p) { ++rows.begin[index(p) + 1]; });
  }
  for (std::size_t t = 0; t < edges.size(); ++t) rows.begin[t + 1] += rows.begin[t];
  rows.items.resize(static_cast<std::size_t>(rows.begin.back()));
  std::vector<std::int32_t> next(rows.begin.begin(), rows.begin.end() - 1);
  for (std::size_t t = 0; t < edges.size(); ++t) {
    edges.each_predecessor(t, [&](TaskId p) {
      rows.items[static_cast<std::size_t>(next[index(p)]++)] = static_cast<TaskId>(t);
    });
  }
  return rows;
}

/// Kahn's algorithm; the result is shorter than the graph if there is a cycle.
std::vector<TaskId> sort_smallest_first(const Edges& edges) {
  const Rows<TaskId> next = successors_of(edges);
  std::vector<std::int32_t> waits_for(edges.size(), 0);
  for (const TaskId t : next.items) ++waits_for[index(t)];
  std::priority_queue<TaskId, std::vector<TaskId>, std::greater<>> ready;
  for (std::size_t t = 0; t < edges.size(); ++t) {
    if (waits_for[t] == 0) ready.push(static_cast<TaskId>(t));
  }
  std::vector<TaskId> order;
  order.reserve(edges.size());
  while (!ready.empty()) {
    const TaskId task = ready.top();
    ready.pop();
    order.push_back(task);
    for (const TaskId t : next[index(task)]) {
      if (--waits_for[index(t)] == 0) ready.push(t);
    }
  }
  return order;
}

/// Some cycle among the tasks that `sorted` lacks, in the direction of time, its smallest id first.
///
/// Each such task has a predecessor that is missing too, so a walk backwards must meet itself.
std::vector<TaskId> find_cycle(const Edges& edges, const std::vector<TaskId>& sorted) {
  std::vector<bool> missing(edges.size(), true);
  for (const TaskId t : sorted) missing[index(t)] = false;
  std::vector<bool> seen(edges.size(), false);
  auto at = static_cast<TaskId>(std::find(missing.begin(), missing.end(), true) - missing.begin());
  std::vector<TaskId> walk;
  while (!seen[index(at)]) {
    seen[index(at)] = true;
    walk.push_back(at);
    TaskId back = kNone;
    edges.each_predecessor(index(at), [&](TaskId p) {
      if (back == kNone && missing[index(p)]) back = p;
    });
    at = back;
  }
  walk.erase(walk.begin(), std::find(walk.begin(), walk.end(), at));
  std::reverse(walk.begin(), walk.end());
  std::rotate(walk.begin(), std::min_element(walk.begin(), walk.end()), walk.end());
  return walk;
}

std::string listed(const TaskGraph& graph, const std::vector<TaskId>& cycle) {
  std::string text;
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    if (cycle.size() > kLongCycle && i == kLongCycle / 2) {
      text += fmt::format("({} more) -> ", cycle.size() - kLongCycle);
      i += cycle.size() - kLongCycle;
    }
    text += task_name(graph, cycle[i]) + " -> ";
  }
  return text + task_name(graph, cycle.front());
}

std::string stream_text(const TaskGraph& graph, TaskId task) {
  return fmt::format("stream {} of device {}", graph.stream_names[index(graph.stream[index(task)])],
                     index(graph.device[index(task)]));
}

/// A cycle whose steps are all dependencies but for one run along a stream, from `first` to `last`.
struct Contradiction {
  TaskId first{}, last{};
};

std::optional<Contradiction> contradiction(const TaskGraph& graph,
                                           const std::vector<TaskId>& before,
                                           const std::vector<TaskId>& cycle) {
  const std::size_t n = cycle.size();
  const auto along_stream = [&](std::size_t i) {  // the step that leads to cycle[i]
    const TaskId from = cycle[(i + n - 1) % n];
    const auto after = graph.after[index(cycle[i % n])];
    return before[index(cycle[i % n])] == from &&
           std::find(after.begin(), after.end(), from) == after.end();
  };
  std::optional<Contradiction> found;
  for (std::size_t i = 0; i < n; ++i) {
    if (!along_stream(i + 1) || along_stream(i)) continue;
    if (found) return std::nullopt;
    std::size_t last = i + 1;
    while (along_stream(last + 1)) ++last;
    found = Contradiction{cycle[i], cycle[last % n]};
  }
  return found;
}

[[noreturn]] void reject_cycle(const TaskGraph& graph, const std::vector<TaskId>& before) {
  const Edges dependencies(graph, before, false);
  const std::vector<TaskId> sorted = sort_smallest_first(dependencies);
  if (sorted.size() < graph.size()) {
    reject(fmt::format("tasks {} form a cycle", listed(graph, find_cycle(dependencies, sorted))));
  }
  const Edges all(graph, before, true);
  const std::vector<TaskId> cycle = find_cycle(all, sort_smallest_first(all));
  const auto found = contradiction(graph, before, cycle);
  if (found) {
    reject(fmt::format("task '{}' comes before '{}' in {} but depends on it",
                       task_name(graph, found->first), task_name(graph, found->last),
                       stream_text(graph, found->first)));
  }
  reject(fmt::format("tasks {} form a cycle of dependencies and the order of streams",
                     listed(graph, cycle)));
}

}  // namespace

std::vector<TaskId> stream_predecessors(const TaskGraph& graph) {
  const std::size_t streams = graph.stream_names.size();
  std::vector<TaskId> last(static_cast<std::size_t>(graph.devices) * streams, kNone);
  std::vector<TaskId> before(graph.size(), kNone);
  for (std::size_t t = 0; t < graph.size(); ++t) {
    if (graph.stream[t] == kNoStream) continue;
    TaskId& tail = last[index(graph.device[t]) * streams + index(graph.stream[t])];
    before[t] = tail;
    tail = static_cast<TaskId>(t);
  }
  return before;
}

Rows<TaskId> successors(const TaskGraph& graph) {
  const std::vector<TaskId> before = stream_predecessors(graph);
  return successors_of(Edges(graph, before, true));
}

std::vector<TaskId> topological_order(const TaskGraph& graph) {
  const std::vector<TaskId> before = stream_predecessors(graph);
  const Edges edges(graph, before, true);
  if (ascending(edges)) {
    std::vector<TaskId> order(graph.size());
    for (std::size_t t = 0; t < graph.size(); ++t) order[t] = static_cast<TaskId>(t);
    return order;
  }
  std::vector<TaskId> order = sort_smallest_first(edges);
  if (order.size() < graph.size()) reject_cycle(graph, before);
  return order;
}

}  // namespace foreplan
