#include "sim/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>

#include "sim/error.hpp"
#include "sim/event_queue.hpp"
#include "sim/network.hpp"
#include "sim/processor_sharing.hpp"
#include "sim/stream_order.hpp"

namespace foreplan {
namespace {

constexpr long double kPicosecondsPerSecond = 1e12L;
constexpr long double kLongestRest = 4e18L;  ///< leaves room to add it to an instant

/// The routes of all flows of a graph; those of one pair of devices are one.
class Routes {
 public:
  Routes(const TaskGraph& graph, const Costs& costs, const Cluster& cluster)
      : route_of_(graph.size(), -1) {
    std::unordered_map<std::size_t, std::int32_t> known;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      if (costs.flow[t] == Bytes{} || graph.source[t] == graph.device[t]) continue;
      const std::size_t pair = index(graph.source[t]) << 32 | index(graph.device[t]);
      const auto [entry, added] = known.try_emplace(pair, static_cast<std::int32_t>(links_.size()));
      if (added) add(cluster, cluster.route(graph.source[t], graph.device[t]));
      route_of_[t] = entry->second;
    }
  }

  bool flows(TaskId task) const { return route_of_[index(task)] >= 0; }
  std::span<const LinkId> links(TaskId task) const { return links_[place(task)]; }
  std::span<const std::int32_t> capacities(TaskId task) const { return capacities_[place(task)]; }

 private:
  std::size_t place(TaskId task) const { return static_cast<std::size_t>(route_of_[index(task)]); }

  void add(const Cluster& cluster, const std::vector<LinkId>& route) {
    for (const LinkId link : route) {
      links_.items.push_back(link);
      capacities_.items.push_back(cluster.capacity_of(link));
    }
    links_.close_row();
    capacities_.close_row();
  }

  std::vector<std::int32_t> route_of_;  ///< by task, -1 where nothing flows
  Rows<LinkId> links_;
  Rows<std::int32_t> capacities_;
};

std::vector<double> capacities_of(const Cluster& cluster) {
  std::vector<double> capacities(static_cast<std::size_t>(cluster.capacities()));
  for (std::size_t l = 0; l < cluster.links().size(); ++l) {
    capacities[static_cast<std::size_t>(cluster.capacity_of(LinkId(l)))] =
        cluster.links()[l].bandwidth.bytes_per_s;
  }
  return capacities;
}

/// Bytes under way.
struct Flow {
  TaskId task{};
  long double left = 0;  ///< bytes at `since`
  double rate = 0;       ///< bytes a second from `since` on
  Duration since{};
};

class Engine {
 public:
  Engine(const TaskGraph& graph, const Costs& costs, const Cluster& cluster)
      : graph_(graph),
        costs_(costs),
        routes_(graph, costs, cluster),
        network_(capacities_of(cluster)),
        cluster_(cluster),
        sharing_(static_cast<std::size_t>(cluster.processors()), graph.size()),
        successors_(foreplan::successors(graph)),
        queue_(graph.size()),
        waits_for_(graph.size(), 0),
        number_(graph.size(), -1),
        users_(cluster.links().size(), 0),
        busy_since_(cluster.links().size()) {
    result_.timeline.start.resize(graph.size());
    result_.timeline.finish.resize(graph.size());
    result_.links.resize(cluster.links().size());
  }

  SimulationResult run() && {
    for (const TaskId t : successors_.items) ++waits_for_[index(t)];
    if (!costs_.issued.empty()) result_.timeline.start = costs_.issued;
    for (std::size_t t = 0; t < graph_.size(); ++t) {
      if (waits_for_[t] == 0) ready_.push_back(TaskId(t));
    }
    start_ready();
    while (!queue_.empty()) {
      const Duration now = queue_.top().at;
      handle_all_at(now);
      reschedule(now);
    }
    return std::move(result_);
  }

 private:
  void start_ready() {
    while (!ready_.empty()) {
      const TaskId task = ready_.back();
      ready_.pop_back();
      start(task);
    }
  }

  /// All that `task` waits for is done; its entry in `start` has become the last of these instants.
  void start(TaskId task) {
    Duration& start = result_.timeline.start[index(task)];
    if (graph_.stream[index(task)] != kNoStream) start += costs_.dispatch;
    const Duration end = start + costs_.duration[index(task)];
    if (shares(task)) {
      queue_.set(task, start);
    } else if (routes_.flows(task)) {
      queue_.set(task, end);
    } else {
      finish(task, end);
    }
  }

  void finish(TaskId task, Duration at) {
    result_.timeline.finish[index(task)] = at;
    const Duration seen_elsewhere = at + costs_.handover;
    for (const TaskId next : successors_[index(task)]) {
      const bool here = graph_.device[index(next)] == graph_.device[index(task)];
      Duration& start = result_.timeline.start[index(next)];
      start = std::max(start, here ? at : seen_elsewhere);
      if (--waits_for_[index(next)] == 0) ready_.push_back(next);
    }
  }

  void handle_all_at(Duration now) {
    while (!queue_.empty() && queue_.top().at == now) {
      const TaskId task = queue_.top().task;
      queue_.pop();
      if (number_[index(task)] >= 0) {
        end_flow(task, now);
      } else if (sharing_.running(task)) {
        sharing_.end(task, now);
        finish(task, now);
      } else if (shares(task)) {
        sharing_.begin(task, cluster_.processor_of(graph_.device[index(task)]),
                       costs_.demand[index(task)], costs_.duration[index(task)], now);
      } else {
        begin_flow(task, now);
      }
      start_ready();
    }
  }

  /// Whether the task takes time on its processor that others may want too.
  bool shares(TaskId task) const {
    return !costs_.demand.empty() && !routes_.flows(task) &&
           costs_.duration[index(task)] > Duration::zero();
  }

  void begin_flow(TaskId task, Duration now) {
    const std::int32_t number = network_.add(routes_.capacities(task));
    number_[index(task)] = number;
    if (flows_.size() <= static_cast<std::size_t>(number)) flows_.emplace_back();
    flows_[static_cast<std::size_t>(number)] = {
        .task = task,
        .left = static_cast<long double>(costs_.flow[index(task)].count),
        .since = now};
    for (const LinkId link : routes_.links(task)) {
      if (users_[index(link)]++ == 0) busy_since_[index(link)] = now;
    }
  }

  void end_flow(TaskId task, Duration now) {
    network_.remove(number_[index(task)]);
    number_[index(task)] = -1;
    for (const LinkId link : routes_.links(task)) {
      LinkUse& use = result_.links[index(link)];
      use.bytes += costs_.flow[index(task)];
      if (--users_[index(link)] == 0) use.busy += now - busy_since_[index(link)];
    }
    finish(task, now);
  }

  Duration rest_of(const Flow& flow) const {
    const long double picoseconds = flow.left * kPicosecondsPerSecond / flow.rate;
    if (!(picoseconds < kLongestRest)) {
      reject(fmt::format("transfer '{}' takes {:.3g} s, which is out of range",
                         task_name(graph_, flow.task),
                         static_cast<double>(picoseconds / kPicosecondsPerSecond)));
    }
    return Duration(std::llrint(picoseconds));
  }

  void reschedule(Duration now) {
    for (const std::int32_t number : network_.solve()) {
      Flow& flow = flows_[static_cast<std::size_t>(number)];
      const auto passed = static_cast<long double>((now - flow.since).count());
      flow.left = std::max(0.0L, flow.left - flow.rate * passed / kPicosecondsPerSecond);
      flow.since = now;
      flow.rate = network_.rate(number);
      queue_.set(flow.task, now + rest_of(flow));
    }
    for (const auto& due : sharing_.reschedule(now)) queue_.set(due.task, due.at);
  }

  const TaskGraph& graph_;
  const Costs& costs_;
  Routes routes_;
  Network network_;
  const Cluster& cluster_;
  ProcessorSharing sharing_;
  Rows<TaskId> successors_;
  EventQueue queue_;
  SimulationResult result_;
  std::vector<TaskId> ready_;
  std::vector<std::int32_t> waits_for_;  ///< by task: predecessors that are not done
  std::vector<std::int32_t> number_;     ///< by task: its flow in network_ and flows_, -1 if none
  std::vector<Flow> flows_;
  std::vector<std::int32_t> users_;   ///< by link: flows over it
  std::vector<Duration> busy_since_;  ///< by link, while it has users
};

}  // namespace

SimulationResult run_events(const TaskGraph& graph, const Costs& costs, const Cluster& cluster) {
  return Engine(graph, costs, cluster).run();
}

}  // namespace foreplan
