#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/cost_model.hpp"
#include "sim/task_graph.hpp"

// Small graphs and clusters for tests: what matters is written at the call, all else is neutral.

namespace foreplan {

/// A graph together with what its tasks cost.
struct PricedGraph {
  TaskGraph graph;
  Costs costs;
};

/// Adds tasks together with their costs.
class PricedBuilder {
 public:
  explicit PricedBuilder(int devices)
      : builder_(devices), op_(builder_.add_op({.key = {.op = "work", .shape = {}}})) {}

  /// A compute task. It stands in the compute stream.
  TaskId work(int device, Duration duration, std::vector<TaskId> after = {}) {
    return add({.device = DeviceId{device}, .op = op_, .after = std::move(after)}, duration);
  }

  /// A transfer of `flow` that takes `latency` first. It stands in no stream.
  TaskId transfer(std::pair<int, int> route, Bytes flow, Duration latency = {},
                  std::vector<TaskId> after = {}) {
    costs_.flow.resize(builder_.size());
    const TaskId id = add({.kind = TaskKind::transfer,
                           .device = DeviceId{route.second},
                           .stream = kNoStream,
                           .source = DeviceId{route.first},
                           .bytes = flow,
                           .after = std::move(after)},
                          latency);
    costs_.flow.push_back(flow);
    return id;
  }

  TaskId add(TaskSpec spec, Duration duration) {
    costs_.duration.push_back(duration);
    return builder_.add(std::move(spec));
  }

  OpId op() const { return op_; }
  Costs& costs() { return costs_; }
  TaskGraphBuilder& builder() { return builder_; }

  PricedGraph build() && {
    costs_.flow.resize(builder_.size());
    return {std::move(builder_).build(), std::move(costs_)};
  }

 private:
  TaskGraphBuilder builder_;
  OpId op_;
  Costs costs_;
};

inline DeviceSpec plain_device() {
  return {.name = "plain",
          .memory = 1_GB,
          .peak = {{DType::fp32, 1_TFLOPps}},
          .memory_bandwidth = 100_GBps,
          .source = "made up"};
}

/// Devices d0, d1, ... each joined to switch "s" by a duplex link. Link 2d goes up from device d,
/// link 2d + 1 down to it.
inline Cluster star(int devices, Bandwidth bandwidth, Duration latency = {}) {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < devices; ++d) {
    vertices.push_back({.id = "d" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
    links.push_back({VertexId{d}, VertexId{devices}, bandwidth, latency});
  }
  vertices.push_back({.id = "s", .kind = VertexKind::network_switch});
  return {"star", {plain_device()}, vertices, links};
}

/// Devices d0, d1, ... in a row; link 2d goes from device d to d + 1, link 2d + 1 back.
inline Cluster row(int devices, Bandwidth bandwidth, Duration latency = {}, bool duplex = true) {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < devices; ++d) {
    vertices.push_back({.id = "d" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
    if (d > 0) links.push_back({VertexId{d - 1}, VertexId{d}, bandwidth, latency, duplex});
  }
  return {"row", {plain_device()}, vertices, links};
}

}  // namespace foreplan
