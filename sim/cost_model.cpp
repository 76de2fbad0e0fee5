#include "sim/cost_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// What one transfer costs: entries of Costs.
struct CopyCost {
  Duration duration{};
  Bytes flow;
  Duration moving{};  ///< how long its bytes move where nothing competes
};

/// Asks the model, and remembers the answers.
class Pricer {
 public:
  Pricer(const TaskGraph& graph, const Cluster& cluster, const CostModel& model)
      : graph_(graph), cluster_(cluster), model_(model) {
    compute_.resize(graph.ops.size() * cluster.specs().size());
  }

  Duration compute(std::size_t task) {
    const DeviceId device = graph_.device[task];
    const Op& op = graph_.ops[index(graph_.op[task])];
    if (op.given) return *op.given;
    const VertexId vertex = cluster_.vertex_of(device);
    const auto spec = static_cast<std::size_t>(cluster_.vertices()[index(vertex)].spec);
    auto& known = compute_[index(graph_.op[task]) * cluster_.specs().size() + spec];
    if (!known) known = model_.compute_time(op, cluster_.specs()[spec]);
    return *known;
  }

  CopyCost copy(std::size_t task) {
    const Copy key{graph_.source[task], graph_.device[task], graph_.bytes[task]};
    const auto [known, added] = copies_.try_emplace(key);
    if (added) known->second = ask(key);
    return known->second;
  }

 private:
  struct Copy {
    DeviceId source{}, destination{};
    Bytes bytes;
    bool operator==(const Copy&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Copy& copy) const {
      const std::size_t pair = index(copy.source) << 32 | index(copy.destination);
      return (pair ^ static_cast<std::size_t>(copy.bytes.count) * 0x9E3779B97F4A7C15ULL) *
             0xD6E8FEB86659FD93ULL;
    }
  };

  CopyCost ask(const Copy& copy) const {
    const auto measured = model_.copy_time(copy.bytes, copy.source, copy.destination);
    if (measured) return {*measured, Bytes{}, *measured};
    const std::vector<LinkId> route = cluster_.route(copy.source, copy.destination);
    if (route.empty()) return {};
    Duration latency{};
    Bandwidth slowest = cluster_.links()[index(route.front())].bandwidth;
    for (const LinkId id : route) {
      const Link& link = cluster_.links()[index(id)];
      latency += link.latency;
      if (link.bandwidth.bytes_per_s < slowest.bytes_per_s) slowest = link.bandwidth;
    }
    return {latency, copy.bytes, copy.bytes / slowest};
  }

  const TaskGraph& graph_;
  const Cluster& cluster_;
  const CostModel& model_;
  std::vector<std::optional<Duration>> compute_;  ///< by op and device specification
  std::unordered_map<Copy, CopyCost, Hash> copies_;
};

}  // namespace

double bandwidth_share(Bytes traffic, Duration time, const DeviceSpec& spec) {
  if (traffic == Bytes{} || time <= Duration::zero()) return 0;
  const double rate = static_cast<double>(traffic.count) / seconds(time);
  return std::min(1.0, rate / spec.memory_bandwidth.bytes_per_s);
}

Demand CostModel::demand(const Op& op, const DeviceSpec& spec, Duration time) const {
  return {.multiprocessors = 1, .bandwidth = bandwidth_share(op.traffic, time, spec)};
}

CostModel::Overlap CostModel::overlap(const DeviceSpec& spec) const {
  const double held = spec.collective_multiprocessors;
  if (held <= 0 || held >= spec.multiprocessors) return {};
  return {.compute = 1 / (1 - held / spec.multiprocessors)};
}

namespace {

/// A copy takes its share of bandwidth whatever else runs; its engine needs no multiprocessors.
Demand copy_demand(const TaskGraph& graph, const Cluster& cluster, std::size_t t, Duration moving) {
  const bool local = cluster.processor_of(graph.source[t]) == cluster.processor_of(graph.device[t]);
  const Bytes traffic = graph.bytes[t] * (local ? 2 : 1);
  return {.multiprocessors = 0,
          .bandwidth = bandwidth_share(traffic, moving, cluster.device(graph.device[t])),
          .holds = true};
}

/// What is handed out beside a graph's tasks, by task.
struct Events {
  std::vector<int> waits;
  std::vector<bool> recorded;
};

/// A stream of a device; each task without a stream is one of its own.
using StreamKey = std::tuple<DeviceId, StreamId, TaskId>;

StreamKey stream_of(const TaskGraph& graph, TaskId task) {
  const bool none = graph.stream[index(task)] == kNoStream;
  return {graph.device[index(task)], graph.stream[index(task)], none ? task : TaskId{-1}};
}

Events events_of(const TaskGraph& graph) {
  Events events{std::vector<int>(graph.size()), std::vector<bool>(graph.size())};
  // By waiting stream and awaited one: the last task that was waited for.
  std::map<std::pair<StreamKey, StreamKey>, TaskId> awaited;
  std::map<StreamKey, TaskId> latest;
  for (const TaskId task : graph.order) {
    const StreamKey own = stream_of(graph, task);
    latest.clear();
    for (const TaskId p : graph.after[index(task)]) {
      const StreamKey other = stream_of(graph, p);
      if (other == own) continue;
      TaskId& last = latest.try_emplace(other, p).first->second;
      last = std::max(last, p);
    }
    for (const auto& [other, last] : latest) {
      const auto [known, fresh] = awaited.try_emplace({own, other}, last);
      if (!fresh && known->second >= last) continue;
      known->second = last;
      ++events.waits[index(task)];
      events.recorded[index(last)] = true;
    }
  }
  return events;
}

std::vector<Duration> issued(const TaskGraph& graph, const CostModel& model) {
  const IssueCost cost = model.issue();
  if (cost.task == Duration{}) return {};
  const Events events = events_of(graph);
  std::vector<Duration> result(graph.size());
  Duration at{};
  for (const TaskId task : graph.order) {
    const std::size_t t = index(task);
    at += events.waits[t] * cost.wait;
    result[t] = at;
    const bool copy = graph.kind[t] == TaskKind::transfer;
    const double launches = copy ? 1 : model.launches(graph.ops[index(graph.op[t])]);
    at += Duration(std::llround(launches * static_cast<double>(cost.task.count())));
    if (events.recorded[t]) at += cost.record;
  }
  return result;
}

}  // namespace

Costs cost(const TaskGraph& graph, const Cluster& cluster, const CostModel& model) {
  if (graph.devices > cluster.devices()) {
    reject(fmt::format("the task graph uses {} devices, but cluster '{}' has {}", graph.devices,
                       cluster.name(), cluster.devices()));
  }
  Costs costs;
  costs.duration.reserve(graph.size());
  costs.flow.reserve(graph.size());
  const bool demands = cluster.shares_processors() || model.knows_demand();
  Pricer pricer(graph, cluster, model);
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const bool copies = graph.kind[t] == TaskKind::transfer;
    const CopyCost price = copies ? pricer.copy(t) : CopyCost{pricer.compute(t), Bytes{}, {}};
    costs.duration.push_back(price.duration);
    costs.flow.push_back(price.flow);
    if (!demands) continue;
    costs.demand.push_back(copies ? copy_demand(graph, cluster, t, price.moving)
                                  : model.demand(graph.ops[index(graph.op[t])],
                                                 cluster.device(graph.device[t]), price.duration));
  }
  for (int d = 0; d < graph.devices; ++d) {
    costs.dispatch = std::max(costs.dispatch, model.dispatch(cluster.device(DeviceId{d})));
  }
  costs.handover = model.handover();
  costs.issued = issued(graph, model);
  return costs;
}

}  // namespace foreplan
