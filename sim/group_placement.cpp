#include "sim/group_placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "sim/error.hpp"

namespace foreplan {
namespace {

void check(const NodeFacts& nodes, const GroupShape& shape) {
  if (nodes.nics < 1 || nodes.nics > nodes.devices) {
    reject(fmt::format(
        "group placement: expected at most a NIC for each device of a node, got {} and {}",
        nodes.nics, nodes.devices));
  }
  if (shape.size < 1 || shape.stride < 1) {
    reject(fmt::format("group placement: expected size and stride of at least 1, got {} and {}",
                       shape.size, shape.stride));
  }
  if (!(nodes.oversubscription >= 1)) {
    reject(fmt::format("group placement: expected an oversubscription of at least 1, got {}",
                       nodes.oversubscription));
  }
}

/// Ranks on each node; 1 where they do not fill nodes evenly.
GroupGrid grid_of(int devices, const GroupShape& shape) {
  const std::int64_t extent = std::int64_t{shape.size} * shape.stride;
  if (devices % extent == 0) return {shape.size, 1};
  const int per_node = devices % shape.stride == 0 ? devices / shape.stride : 1;
  if (shape.size % per_node != 0) return {1, shape.size};
  return {per_node, shape.size / per_node};
}

class Probe {
 public:
  Probe(const Cluster& cluster, std::span<const DeviceId> group)
      : cluster_(cluster), group_(group), size_(static_cast<int>(group.size())) {}

  GroupPlacement placement() const {
    if (size_ < 2) return {};
    const Hop near = hop(0, 1);
    int per_node = 2;
    while (per_node < size_ && hop(0, per_node) == near) ++per_node;
    if (per_node == size_) return one_level();
    if (size_ % per_node != 0) return one_level();
    const Hop far = hop(0, per_node);
    if (!regular(per_node, near, far)) return one_level();
    GroupPlacement placement{.grid = {per_node, size_ / per_node}, .intra = near, .inter = far};
    find_nics(placement);
    return placement;
  }

 private:
  Hop hop(int from, int to) const {
    Hop hop{{}, {std::numeric_limits<double>::infinity()}, {}};
    for (const LinkId id : route(from, to)) {
      const Link& link = cluster_.links()[index(id)];
      hop.latency += link.latency;
      hop.bandwidth = std::min(hop.bandwidth, link.bandwidth);
    }
    return hop;
  }

  std::vector<LinkId> route(int from, int to) const {
    return cluster_.route(group_[static_cast<std::size_t>(from)],
                          group_[static_cast<std::size_t>(to)]);
  }

  /// The slowest hop between neighbours, for all.
  GroupPlacement one_level() const {
    Hop slowest = hop(size_ - 1, 0);
    for (int rank = 1; rank < size_; ++rank) {
      const Hop next = hop(rank - 1, rank);
      slowest.latency = std::max(slowest.latency, next.latency);
      slowest.bandwidth = std::min(slowest.bandwidth, next.bandwidth);
    }
    return {.grid = {size_, 1}, .intra = slowest};
  }

  bool regular(int per_node, const Hop& near, const Hop& far) const {
    for (int rank = 1; rank < size_; ++rank) {
      if (hop(rank - 1, rank) != (rank % per_node == 0 ? far : near)) return false;
    }
    return true;
  }

  void find_nics(GroupPlacement& placement) const {
    std::map<std::int32_t, int> flows;
    std::map<std::int32_t, double> capacity;
    const int g = placement.grid.ranks_per_node;
    for (int rank = 0; rank < g; ++rank) {
      for (const LinkId id : route(rank, rank + g)) {
        ++flows[cluster_.capacity_of(id)];
        capacity[cluster_.capacity_of(id)] = cluster_.links()[index(id)].bandwidth.bytes_per_s;
      }
    }
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [id, count] : flows) {
      const double share = capacity[id] / count;
      if (share >= least) continue;
      least = share;
      placement.nics = (g + count - 1) / count;
      placement.nic = {capacity[id]};
    }
  }

  const Cluster& cluster_;
  std::span<const DeviceId> group_;
  int size_;
};

/// A node that nothing leads out of is the only one.
bool alone(const NodeFacts& nodes) { return nodes.inter.bandwidth.bytes_per_s <= 0; }

/// @param groups  that a node holds
GroupPlacement placed(const NodeFacts& nodes, const GroupGrid& grid, int groups) {
  const Bandwidth nic = nodes.nic.bytes_per_s > 0 ? nodes.nic : nodes.inter.bandwidth;
  const double total = nic.bytes_per_s * nodes.nics;
  GroupPlacement placement{.grid = grid, .intra = nodes.intra, .inter = nodes.inter};
  if (nodes.devices > 1) {
    placement.inter.bandwidth = std::min(nodes.intra.bandwidth, nodes.inter.bandwidth);
  }
  placement.nics = std::min(grid.ranks_per_node, nodes.nics);
  placement.nic = nic;
  placement.nic_sharing = std::min(groups, (nodes.devices + nodes.nics - 1) / nodes.nics);
  placement.uplink = {nodes.oversubscription > 1 ? total / nodes.oversubscription : 0};
  placement.uplink_sharing = groups;
  placement.switch_reduction = nodes.switch_reduction;
  return placement;
}

}  // namespace

GroupPlacement placement_of(const NodeFacts& nodes, const GroupShape& shape) {
  check(nodes, shape);
  const GroupGrid grid = alone(nodes) ? GroupGrid{shape.size, 1} : grid_of(nodes.devices, shape);
  const bool even = grid.nodes == 1 || grid.ranks_per_node * shape.stride == nodes.devices;
  return placed(nodes, grid, even ? std::min(shape.stride, nodes.devices) : nodes.devices);
}

GroupPlacement placement_of(const NodeFacts& nodes, const GroupGrid& grid) {
  check(nodes, {.size = grid.ranks()});
  if (alone(nodes)) return placed(nodes, {grid.ranks(), 1}, 1);
  if (grid.ranks_per_node < 1 || nodes.devices % grid.ranks_per_node != 0) {
    reject(fmt::format("group placement: expected ranks that fill a node of {} devices, got {}",
                       nodes.devices, grid.ranks_per_node));
  }
  return placed(nodes, grid, nodes.devices / grid.ranks_per_node);
}

GroupPlacement placement_of(const Cluster& cluster, std::span<const DeviceId> group) {
  for (const DeviceId device : group) {
    const auto number = static_cast<std::int32_t>(device);
    if (number >= 0 && number < cluster.devices()) continue;
    reject(fmt::format("group placement: expected devices from 0 to {}, got {}",
                       cluster.devices() - 1, number));
  }
  return Probe(cluster, group).placement();
}

}  // namespace foreplan
