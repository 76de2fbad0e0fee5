#include "sim/cost_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// What one transfer costs: entries of Costs.
struct CopyCost {
  Duration duration{};
  Bytes flow;
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
    if (measured) return {*measured, Bytes{}};
    const std::vector<LinkId> route = cluster_.route(copy.source, copy.destination);
    if (route.empty()) return {};
    Duration latency{};
    for (const LinkId link : route) latency += cluster_.links()[index(link)].latency;
    return {latency, copy.bytes};
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

namespace {

std::vector<Demand> demands(const TaskGraph& graph, const Cluster& cluster, const CostModel& model,
                            const std::vector<Duration>& durations) {
  std::vector<Demand> result;
  result.reserve(graph.size());
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const DeviceSpec& spec = cluster.device(graph.device[t]);
    if (graph.kind[t] != TaskKind::transfer) {
      result.push_back(model.demand(graph.ops[index(graph.op[t])], spec, durations[t]));
      continue;
    }
    const bool local =
        cluster.processor_of(graph.source[t]) == cluster.processor_of(graph.device[t]);
    const Bytes traffic = graph.bytes[t] * (local ? 2 : 1);
    result.push_back(
        {.multiprocessors = 0, .bandwidth = bandwidth_share(traffic, durations[t], spec)});
  }
  return result;
}

bool across(const TaskGraph& graph, TaskId from, std::size_t to) {
  const std::size_t f = index(from);
  return graph.device[f] != graph.device[to] || graph.stream[f] != graph.stream[to] ||
         graph.stream[to] == kNoStream;
}

Duration mean_issue(const TaskGraph& graph, const IssueCost& cost) {
  if (graph.size() == 0) return {};
  std::vector<bool> recorded(graph.size(), false);
  std::int64_t records = 0, waits = 0;
  std::vector<std::pair<DeviceId, StreamId>> streams;
  for (std::size_t t = 0; t < graph.size(); ++t) {
    streams.clear();
    for (const TaskId p : graph.after[t]) {
      if (!across(graph, p, t)) continue;
      const std::pair stream(graph.device[index(p)], graph.stream[index(p)]);
      if (std::find(streams.begin(), streams.end(), stream) != streams.end()) continue;
      streams.push_back(stream);
      ++waits;
      if (!recorded[index(p)]) ++records;
      recorded[index(p)] = true;
    }
  }
  const auto tasks = static_cast<std::int64_t>(graph.size());
  return cost.task + (records * cost.record + waits * cost.wait) / tasks;
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
  Pricer pricer(graph, cluster, model);
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const CopyCost price =
        graph.kind[t] == TaskKind::transfer ? pricer.copy(t) : CopyCost{pricer.compute(t), Bytes{}};
    costs.duration.push_back(price.duration);
    costs.flow.push_back(price.flow);
  }
  for (int d = 0; d < graph.devices; ++d) {
    costs.dispatch = std::max(costs.dispatch, model.dispatch(cluster.device(DeviceId{d})));
  }
  costs.handover = model.handover();
  costs.issue = mean_issue(graph, model.issue());
  if (cluster.shares_processors() || model.knows_demand()) {
    costs.demand = demands(graph, cluster, model, costs.duration);
  }
  return costs;
}

}  // namespace foreplan
