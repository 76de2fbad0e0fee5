#include "planner/rank_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "planner/ceil_div.hpp"
#include "sim/error.hpp"
#include "sim/library_collectives.hpp"

namespace foreplan {
namespace {

Hop slower(const Hop& a, const Hop& b) {
  return {.latency = std::max(a.latency, b.latency),
          .bandwidth = std::min(a.bandwidth, b.bandwidth),
          .half_size = std::max(a.half_size, b.half_size),
          .setup = std::max(a.setup, b.setup)};
}

Bandwidth flow_of(const LinkFacts& link) {
  return link.flow.bytes_per_s > 0 ? std::min(link.flow, link.achieved()) : link.achieved();
}

NodeFacts facts_of(const NodeGroup& group, const Fabric& fabric) {
  NodeFacts facts{.devices = group.devices_per_node};
  Duration inside{};
  if (group.intra) {
    facts.intra = {.latency = group.intra->latency,
                   .bandwidth = group.intra->achieved(),
                   .setup = group.intra->setup};
    facts.switch_reduction = {group.intra->bandwidth.bytes_per_s * group.intra->switch_reduction};
    inside = group.intra->latency;
  }
  if (group.nic) {
    facts.nics = std::min(group.nics_per_node, group.devices_per_node);
    facts.inter = {.latency = inside + 2 * group.nic->latency + fabric.latency,
                   .bandwidth = flow_of(*group.nic),
                   .setup = group.nic->setup};
    facts.nic = group.nic->achieved();
  }
  facts.oversubscription = fabric.oversubscription;
  return facts;
}

}  // namespace

int groups_reached(const Cluster& cluster, int devices) {
  int reached = 0;
  for (const NodeGroup& group : cluster.node_groups()) {
    if (devices <= 0) break;
    devices -= group.nodes * group.devices_per_node;
    ++reached;
  }
  return reached;
}

int node_devices(const Cluster& cluster, int devices) {
  const int reached = groups_reached(cluster, devices);
  int common = 0;
  for (int g = 0; g < reached; ++g) {
    common = std::gcd(common, cluster.node_groups()[static_cast<std::size_t>(g)].devices_per_node);
  }
  return common;
}

NodeFacts node_facts(const Cluster& cluster, int devices) {
  const auto reached = static_cast<std::size_t>(groups_reached(cluster, devices));
  const std::span groups(cluster.node_groups().data(), reached);
  NodeFacts facts = facts_of(groups.front(), cluster.fabric());
  for (const NodeGroup& group : groups.subspan(1)) {
    const NodeFacts other = facts_of(group, cluster.fabric());
    facts.devices = std::gcd(facts.devices, other.devices);
    facts.nics = std::min({facts.nics, other.nics, facts.devices});
    facts.intra = slower(facts.intra, other.intra);
    facts.inter = slower(facts.inter, other.inter);
    facts.switch_reduction = std::min(facts.switch_reduction, other.switch_reduction);
    facts.nic = std::min(facts.nic, other.nic);
  }
  return facts;
}

Duration RankGroups::time(CollectiveKind kind, Bytes bytes, const GroupPlacement& placement) const {
  if (placement.grid.ranks() <= 1) return {};
  if (algorithm_ && !collective_refusal(kind, *algorithm_, placement.grid, {})) {
    // A library's kernel starts before its first byte moves, whatever its algorithm.
    const Hop& hop = placement.grid.nodes > 1 ? placement.inter : placement.intra;
    return hop.setup + collective_time(kind, *algorithm_, bytes, placement);
  }
  if (measured_ != nullptr && placement.grid.nodes == 1) {
    const auto time = measured_->collective_time(kind, placement.grid.ranks(), bytes);
    if (time) return *time;
  }
  if (has_library(placement)) return library_time(kind, bytes, placement);
  return best_algorithm(kind, bytes, placement).time;
}

Duration RankGroups::dispatch_time(Bytes bytes, int copies, bool once_per_node,
                                   const GroupPlacement& placement) const {
  if (!once_per_node || algorithm_ || !has_library(placement)) {
    return time(CollectiveKind::all_to_all, bytes, placement);
  }
  return library_dispatch_time(bytes, copies, placement);
}

RankGroups::RankGroups(const Cluster& cluster, const Strategy& strategy,
                       std::optional<CollectiveAlgorithm> algorithm, const CostModel* measured)
    : cluster_(cluster),
      algorithm_(algorithm),
      measured_(measured),
      layout_(strategy),
      shorthand_(!cluster.node_groups().empty()) {
  const int block = strategy.tp * strategy.cp * strategy.dp;
  if (strategy.deals_whole_experts() && block % strategy.ep != 0) {
    reject(fmt::format("strategy: ep={} does not divide tp cp dp = {}", strategy.ep, block));
  }
  if (shorthand_) {
    nodes_ = node_facts(cluster, strategy.devices());
    places_ = places_of(layout_, nodes_.devices);
  }
  data_ranks_ = layout_.data().size;
  expert_data_ranks_ = layout_.expert_data().size;
  tensor_ = place(layout_.tensor(), places_.tensor);
  context_ = place(layout_.context(), places_.context);
  expert_ = place(layout_.expert(), places_.expert);
  data_ = place(layout_.data(), places_.data);
  expert_data_ = place(layout_.expert_data(), places_.expert_data);
}

GroupPlacement RankGroups::place(const RankGroup& group, int on_node) const {
  if (group.size == 1) return {};
  if (shorthand_) return placement_of(nodes_, GroupGrid{on_node, group.size / on_node});
  std::vector<DeviceId> devices;
  for (int i = 0; i < group.size; ++i) devices.push_back(DeviceId{group.device(i)});
  return placement_of(cluster_, devices);
}

/// A group's ranks of a node divide both, whatever the order. Between devices that are not told in short
/// nothing is known, so that there an exchange may take no time.
void RankGroups::allow_any_order() {
  const auto allow = [&](Axis axis, int size) {
    std::vector<GroupPlacement>& others = others_[static_cast<std::size_t>(axis)];
    if (size == 1) return;
    if (!shorthand_) others.emplace_back();
    for (int ranks = 1; shorthand_ && ranks <= std::gcd(size, nodes_.devices); ++ranks) {
      if (std::gcd(size, nodes_.devices) % ranks != 0) continue;
      others.push_back(placement_of(nodes_, GroupGrid{ranks, size / ranks}));
    }
  };
  allow(Axis::tensor, layout_.tensor().size);
  allow(Axis::context, layout_.context().size);
  allow(Axis::expert, layout_.expert().size);
}

const GroupPlacement& RankGroups::of(Axis axis) const {
  switch (axis) {
    case Axis::tensor:
      return tensor_;
    case Axis::context:
      return context_;
    case Axis::expert:
      return expert_;
  }
  return tensor_;
}

GroupPlacement RankGroups::stages(int from, int to) const {
  if (!shorthand_) {
    const std::vector pair{layout_.device({.pp = from}), layout_.device({.pp = to})};
    return placement_of(cluster_, pair);
  }
  GroupPlacement placement;
  const bool near = together(from, to);
  placement.grid = {.ranks_per_node = near ? 2 : 1, .nodes = near ? 1 : 2};
  placement.intra = nodes_.intra;
  placement.inter = nodes_.inter;
  placement.nics = 1;
  placement.nic = nodes_.nic;
  const int senders = std::max(1, places_.stage_stride);
  placement.nic_sharing = std::min(senders, std::max(1, nodes_.devices / nodes_.nics));
  placement.uplink = {nodes_.nic.bytes_per_s * nodes_.nics / nodes_.oversubscription};
  placement.uplink_sharing = senders;
  return placement;
}

Duration RankGroups::stage_hop(int from, int to, Bytes bytes) const {
  if (from == to) return {};
  const GroupPlacement placement = stages(from, to);
  if (placement.grid.nodes == 1) return point_to_point_time(bytes, placement.intra);
  Hop hop = placement.inter;
  if (placement.nic.bytes_per_s > 0) {
    hop.bandwidth =
        std::min({hop.bandwidth, Bandwidth{placement.nic.bytes_per_s / placement.nic_sharing},
                  Bandwidth{placement.uplink.bytes_per_s / placement.uplink_sharing}});
  }
  return point_to_point_time(bytes, hop);
}

Duration RankGroups::activations_hop(int from, int to, Bytes bytes, const HandOver& how) const {
  const int tp = layout_.size(Dimension::tp);
  const bool cut = tp > 1 && (how.sp || how.scatter);
  Duration time = stage_hop(from, to, cut ? Bytes{ceil_div(bytes.count, tp)} : bytes);
  if (cut && !how.sp) time += this->time(CollectiveKind::all_gather, bytes, tensor_);
  return time;
}

}  // namespace foreplan
