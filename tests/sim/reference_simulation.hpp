#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "tests/sim/graphs.hpp"

// Evaluators for tests, written from the definitions alone: they share no code with the simulator and
// know no shortcut. Slow; for small graphs.

namespace foreplan {

/// When tasks finish where nothing is shared: the least times that meet every condition, by raising
/// them until none is broken. No order of the graph is used but that of ids within a stream.
inline std::vector<Duration> reference_finish(const TaskGraph& graph, const Costs& costs) {
  std::vector<Duration> start(graph.size()), finish(graph.size());
  std::vector<Duration> issued = costs.issued;
  issued.resize(graph.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      Duration from = issued[t];
      for (const TaskId p : graph.after[t]) {
        const bool here = graph.device[index(p)] == graph.device[t];
        from = std::max(from, finish[index(p)] + (here ? Duration{} : costs.handover));
      }
      for (std::size_t other = 0; other < t; ++other) {
        const bool same = graph.device[other] == graph.device[t] &&
                          graph.stream[other] == graph.stream[t] && graph.stream[t] != kNoStream;
        if (same) from = std::max(from, finish[other]);
      }
      const Duration dispatch = graph.stream[t] == kNoStream ? Duration{} : costs.dispatch;
      const Duration end = from + dispatch + costs.duration[t];
      changed = changed || end != finish[t];
      start[t] = from + dispatch;
      finish[t] = end;
    }
  }
  return finish;
}

/// A fluid simulation with links shared by max-min fairness, in picoseconds that are not rounded.
class ReferenceSimulation {
 public:
  ReferenceSimulation(const TaskGraph& graph, const Costs& costs, const Cluster& cluster)
      : graph_(graph),
        costs_(costs),
        tasks_(graph.size()),
        integral_(cluster.links().size(), 0),
        cluster_(cluster) {
    for (std::size_t t = 0; t < graph.size(); ++t) {
      tasks_[t].left = static_cast<double>(costs.flow[t].count);
      if (graph.source[t] == graph.device[t]) tasks_[t].left = 0;
      if (tasks_[t].left == 0) continue;
      for (const LinkId l : cluster.route(graph.source[t], graph.device[t])) {
        tasks_[t].route.push_back(index(l));
      }
    }
    while (step()) {
    }
  }

  double finish(std::size_t task) const { return tasks_[task].finish; }
  /// The integral of the rates of all flows over a link [B].
  double moved(std::size_t link) const { return integral_[link]; }

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
  struct State {
    double begin = kNever;   ///< when its bytes begin to move, or its work ends if it has none
    double finish = kNever;  ///< known when it is over
    double left = 0;
    double rate = 0;
    std::vector<std::size_t> route{};
  };

  bool flowing(const State& s) const { return s.begin <= now_ && s.finish == kNever && s.left > 0; }

  /// Sets `begin` of tasks all of whose conditions are known.
  void open_tasks() {
    for (std::size_t t = 0; t < graph_.size(); ++t) {
      if (tasks_[t].begin != kNever) continue;
      double from = 0;
      for (const TaskId p : graph_.after[t]) {
        const bool here = graph_.device[index(p)] == graph_.device[t];
        from = std::max(from, tasks_[index(p)].finish +
                                  (here ? 0.0 : static_cast<double>(costs_.handover.count())));
      }
      for (std::size_t other = 0; other < t; ++other) {
        const bool same = graph_.device[other] == graph_.device[t] &&
                          graph_.stream[other] == graph_.stream[t] && graph_.stream[t] != kNoStream;
        if (same) from = std::max(from, tasks_[other].finish);
      }
      if (from == kNever) continue;
      const bool stream = graph_.stream[t] != kNoStream;
      tasks_[t].begin = from + static_cast<double>(costs_.duration[t].count()) +
                        (stream ? static_cast<double>(costs_.dispatch.count()) : 0.0);
    }
  }

  /// All rates rise together; those over a link that is full stop.
  void fair_rates() {
    const std::vector<Link>& links = cluster_.links();
    std::vector<double> room(static_cast<std::size_t>(cluster_.capacities()));
    for (std::size_t l = 0; l < links.size(); ++l) {
      room[capacity(l)] = links[l].bandwidth.bytes_per_s / 1e12;
    }
    std::vector<State*> rising;
    for (State& s : tasks_) {
      s.rate = 0;
      if (flowing(s)) rising.push_back(&s);
    }
    while (!rising.empty()) {
      std::vector<int> users(room.size(), 0);
      for (const State* s : rising) {
        for (const std::size_t l : s->route) ++users[capacity(l)];
      }
      double by = kNever;
      for (std::size_t c = 0; c < room.size(); ++c) {
        if (users[c] > 0) by = std::min(by, room[c] / users[c]);
      }
      std::vector<bool> full(room.size());
      for (std::size_t c = 0; c < room.size(); ++c) {
        full[c] = users[c] > 0 && room[c] / users[c] <= by * (1 + 1e-12);
        room[c] -= by * users[c];
      }
      for (State* s : rising) s->rate += by;
      std::erase_if(rising, [&](const State* s) {
        return std::any_of(s->route.begin(), s->route.end(),
                           [&](std::size_t l) { return full[capacity(l)]; });
      });
    }
  }

  /// Goes on to the next instant at which something begins or ends.
  bool step() {
    open_tasks();
    fair_rates();
    double next = kNever;
    for (const State& s : tasks_) {
      if (s.finish != kNever) continue;
      next = std::min(next, flowing(s) ? now_ + s.left / s.rate : std::max(now_, s.begin));
    }
    if (next == kNever) return false;
    for (State& s : tasks_) {
      const bool over = s.finish == kNever && s.begin <= next && s.left == 0;
      if (flowing(s)) {
        const bool ends = now_ + s.left / s.rate <= next;
        const double moved = ends ? s.left : s.rate * (next - now_);
        for (const std::size_t l : s.route) integral_[l] += moved;
        s.left -= moved;
        if (ends) s.finish = next;
      } else if (over) {
        s.finish = s.begin;
      }
    }
    now_ = next;
    return true;
  }

  std::size_t capacity(std::size_t link) const {
    return static_cast<std::size_t>(cluster_.capacity_of(LinkId(link)));
  }

  const TaskGraph& graph_;
  const Costs& costs_;
  std::vector<State> tasks_;
  std::vector<double> integral_;
  const Cluster& cluster_;
  double now_ = 0;
};

}  // namespace foreplan
