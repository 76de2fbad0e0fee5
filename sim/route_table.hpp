#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// The routes that the transfers of a graph take through a cluster: each pair of devices is looked up
/// once, when it is first asked for.
class RouteTable {
 public:
  static constexpr std::int32_t kNone = -1;

  RouteTable(const TaskGraph& graph, const Cluster& cluster)
      : graph_(graph), cluster_(cluster), of_task_(graph.size(), kNone) {}

  /// The route of a transfer; kNone within a device.
  /// @throws Error(invalid_argument) as Cluster::route does
  std::int32_t of(TaskId task) {
    std::int32_t& route = of_task_[index(task)];
    if (route == kNone && graph_.source[index(task)] != graph_.device[index(task)]) {
      route = look_up(graph_.source[index(task)], graph_.device[index(task)]);
    }
    return route;
  }

  /// How many there are so far.
  std::size_t size() const { return links_.size(); }
  std::span<const LinkId> links(std::int32_t route) const {
    return links_[static_cast<std::size_t>(route)];
  }
  /// The capacities of these links (Cluster::capacity_of).
  std::span<const std::int32_t> capacities(std::int32_t route) const {
    return capacities_[static_cast<std::size_t>(route)];
  }

 private:
  std::int32_t look_up(DeviceId source, DeviceId destination);

  const TaskGraph& graph_;
  const Cluster& cluster_;
  std::vector<std::int32_t> of_task_;
  std::unordered_map<std::size_t, std::int32_t> of_pair_;
  Rows<LinkId> links_;
  Rows<std::int32_t> capacities_;
};

}  // namespace foreplan
