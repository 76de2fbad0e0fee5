#pragma once

#include <optional>

#include "planner/strategy.hpp"
#include "planner/unit_work.hpp"
#include "sim/cluster.hpp"
#include "sim/collective_cost.hpp"
#include "sim/cost_model.hpp"
#include "sim/group_placement.hpp"

namespace foreplan {

/// Where a strategy's groups of ranks lie on a cluster, all groups of a kind at work at once.
///
/// Device of tensor rank t, context rank c, data rank d and stage s: t + tp (c + cp (d + dp s)). Expert
/// groups are neighbours among the ranks of cp and dp, each with its tp-th of its experts; where ep does
/// not divide these, among those of tp, cp and dp, with whole experts.
class RankGroups {
 public:
  /// @param algorithm  of all collectives that it can do; empty, and for the others: a library's where the
  ///   cluster tells its setup (sim/library_collectives.hpp), else the algorithm that takes least
  /// @param measured  asked for collectives inside a node, unless an algorithm is named; null: nobody is
  /// @throws Error(invalid_argument) if ep does not divide tp cp dp
  RankGroups(const Cluster& cluster, const Strategy& strategy,
             std::optional<CollectiveAlgorithm> algorithm = {},
             const CostModel* measured = nullptr);

  const GroupPlacement& of(Axis axis) const;
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
  Duration dispatch_time(Bytes bytes, int copies, bool once_per_node) const;

  /// A message from each device of a stage to its like on another, all at once.
  Duration stage_hop(int from, int to, Bytes bytes) const;
  /// Activations that a stage's ranks hand to those of the next, `bytes` at whole width. Of tensor-parallel
  /// ranks each sends its part where that is what it has (sp) or they scatter what all have, which the
  /// receivers then gather.
  struct HandOver {
    bool sp = false, scatter = true;
  };
  Duration activations_hop(int from, int to, Bytes bytes, const HandOver& how) const;
  /// The first and the last stage's devices that belong together, in pairs.
  GroupPlacement stages(int from, int to) const;

 private:
  GroupPlacement place(int size, int stride) const;

  const Cluster& cluster_;
  std::optional<CollectiveAlgorithm> algorithm_;
  const CostModel* measured_ = nullptr;
  int tp_ = 1;
  int block_ = 1;  ///< devices of a stage
  bool shorthand_ = false;
  NodeFacts nodes_;
  int data_ranks_ = 1, expert_data_ranks_ = 1;
  GroupPlacement tensor_, context_, expert_, data_, expert_data_;
};

/// How many of the node groups of a cluster given in shorthand its first `devices` lie in; 0 of one given in full.
int groups_reached(const Cluster& cluster, int devices);
/// The nodes that the first `devices` of a cluster given in shorthand lie in; of several kinds the slowest in
/// each respect. What lies behind them changes nothing.
NodeFacts node_facts(const Cluster& cluster, int devices);

}  // namespace foreplan
