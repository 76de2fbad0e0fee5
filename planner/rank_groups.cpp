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

Duration RankGroups::dispatch_time(Bytes bytes, int copies, bool once_per_node) const {
  if (!once_per_node || algorithm_ || !has_library(expert_)) {
    return time(CollectiveKind::all_to_all, bytes, expert_);
  }
  return library_dispatch_time(bytes, copies, expert_);
}

RankGroups::RankGroups(const Cluster& cluster, const Strategy& strategy,
                       std::optional<CollectiveAlgorithm> algorithm, const CostModel* measured)
    : cluster_(cluster),
      algorithm_(algorithm),
      measured_(measured),
      tp_(strategy.tp),
      block_(strategy.tp * strategy.cp * strategy.dp),
      shorthand_(!cluster.node_groups().empty()) {
  if (shorthand_) nodes_ = node_facts(cluster, strategy.devices());
  data_ranks_ = strategy.cp * strategy.dp;
  const bool whole = strategy.deals_whole_experts();
  if (whole && block_ % strategy.ep != 0) {
    reject(fmt::format("strategy: ep={} does not divide tp cp dp = {}", strategy.ep, block_));
  }
  expert_data_ranks_ = (whole ? block_ : data_ranks_) / strategy.ep;
  tensor_ = place(strategy.tp, 1);
  context_ = place(strategy.cp, strategy.tp);
  expert_ = place(strategy.ep, whole ? 1 : strategy.tp);
  data_ = place(data_ranks_, strategy.tp);
  expert_data_ = place(expert_data_ranks_, strategy.ep * (whole ? 1 : strategy.tp));
}

GroupPlacement RankGroups::place(int size, int stride) const {
  if (size == 1) return {};
  if (shorthand_) return placement_of(nodes_, GroupShape{.size = size, .stride = stride});
  std::vector<DeviceId> group;
  for (int i = 0; i < size; ++i) group.push_back(DeviceId{i * stride});
  return placement_of(cluster_, group);
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
  const DeviceId a{from * block_}, b{to * block_};
  if (!shorthand_) return placement_of(cluster_, std::vector{a, b});
  GroupPlacement placement;
  const bool together = from * block_ / nodes_.devices == to * block_ / nodes_.devices;
  placement.grid = {.ranks_per_node = together ? 2 : 1, .nodes = together ? 1 : 2};
  placement.intra = nodes_.intra;
  placement.inter = nodes_.inter;
  placement.nics = 1;
  placement.nic = nodes_.nic;
  const int senders = std::min(block_, nodes_.devices);
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
  const bool cut = tp_ > 1 && (how.sp || how.scatter);
  Duration time = stage_hop(from, to, cut ? Bytes{ceil_div(bytes.count, tp_)} : bytes);
  if (cut && !how.sp) time += this->time(CollectiveKind::all_gather, bytes, tensor_);
  return time;
}

}  // namespace foreplan
