#pragma once

#include <array>
#include <optional>
#include <vector>

#include "planner/rank_layout.hpp"
#include "planner/strategy.hpp"
#include "planner/unit_work.hpp"
#include "sim/cluster.hpp"
#include "sim/collective_cost.hpp"
#include "sim/cost_model.hpp"
#include "sim/group_placement.hpp"

namespace foreplan {

/// Where a strategy's groups of ranks lie on a cluster, all groups of a kind at work at once; which device a
/// rank is, RankLayout says.
class RankGroups {
 public:
  /// @param algorithm  of all collectives that it can do; empty, and for the others: a library's where the
  ///   cluster tells its setup (sim/library_collectives.hpp), else the algorithm that takes least
  /// @param measured  asked for collectives inside a node, unless an algorithm is named; null: nobody is
  /// @throws Error(invalid_argument) if ep does not divide tp cp dp
  RankGroups(const Cluster& cluster, const Strategy& strategy,
             std::optional<CollectiveAlgorithm> algorithm = {},
             const CostModel* measured = nullptr);

  /// From now on exchanges take the least that they take under any order, each for itself: a bound for all.
  void allow_any_order();

  const RankLayout& layout() const { return layout_; }
  const GroupPlacement& of(Axis axis) const;
  /// Placements that the group may have under other orders too, once these are allowed.
  const std::vector<GroupPlacement>& others(Axis axis) const {
    return others_[static_cast<std::size_t>(axis)];
  }
  /// Ranks that hold the same parameters: of all layers but experts; of the experts.
  const GroupPlacement& data() const { return data_; }
  const GroupPlacement& expert_data() const { return expert_data_; }
  int data_ranks() const { return data_ranks_; }
  int expert_data_ranks() const { return expert_data_ranks_; }

  /// The time of a collective; nothing for a single rank.
  Duration time(CollectiveKind kind, Bytes bytes, const GroupPlacement& placement) const;
  Duration time(CollectiveKind kind, Bytes bytes, Axis axis) const {
    return time(kind, bytes, of(axis));
  }

  /// Rows on their way to experts or back, `copies` of each in `bytes`.
  /// @param once_per_node  a row goes to each node once, where the cluster tells a library's setup
  Duration dispatch_time(Bytes bytes, int copies, bool once_per_node) const {
    return dispatch_time(bytes, copies, once_per_node, expert_);
  }
  Duration dispatch_time(Bytes bytes, int copies, bool once_per_node,
                         const GroupPlacement& placement) const;

  /// A message from each device of a stage to its like on another, all at once.
  Duration stage_hop(int from, int to, Bytes bytes) const;
  /// Activations that a stage's ranks hand to those of the next, `bytes` at whole width. Of tensor-parallel
  /// ranks each sends its part where that is what it has (sp) or they scatter what all have, which the
  /// receivers then gather.
  struct HandOver {
    bool sp = false, scatter = true;
  };
  Duration activations_hop(int from, int to, Bytes bytes, const HandOver& how) const;
  /// Two stages' devices that belong together, in pairs; as far apart as the farthest of them.
  GroupPlacement stages(int from, int to) const;
  /// Whether these all share a node; of a cluster told in short.
  bool together(int from, int to) const { return places_.together(from, to, nodes_.devices); }

 private:
  GroupPlacement place(const RankGroup& group, int on_node) const;

  const Cluster& cluster_;
  std::optional<CollectiveAlgorithm> algorithm_;
  const CostModel* measured_ = nullptr;
  RankLayout layout_;
  bool shorthand_ = false;
  NodeFacts nodes_;
  RankPlaces places_{};  ///< of a cluster told in short
  int data_ranks_ = 1, expert_data_ranks_ = 1;
  GroupPlacement tensor_, context_, expert_, data_, expert_data_;
  std::array<std::vector<GroupPlacement>, 3> others_{};  ///< by Axis
};

/// How many of the node groups of a cluster given in shorthand its first `devices` lie in; 0 of one given in full.
int groups_reached(const Cluster& cluster, int devices);
/// The nodes that the first `devices` of a cluster given in shorthand lie in; of several kinds the slowest in
/// each respect. What lies behind them changes nothing.
NodeFacts node_facts(const Cluster& cluster, int devices);
/// Devices of these nodes; 0 of a cluster given in full.
int node_devices(const Cluster& cluster, int devices);

}  // namespace foreplan
