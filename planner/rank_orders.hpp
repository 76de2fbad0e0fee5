#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/rank_groups.hpp"
#include "planner/replicas.hpp"

namespace foreplan {

/// Orders under which a network's units exchange alike, and replicas are alike: they differ in what gradients
/// and messages between stages meet.
using OrderSet = std::vector<RankOrder>;
/// Every order once.
struct OrderSets {
  std::vector<OrderSet> sets{};
  std::int64_t orders = 0;  ///< in all of them
};

/// Which orders of ranks a task tells apart.
///
/// Two orders are alike if every group and every pair of stages meets the same links under both, so that each
/// strategy is forecast alike: on nodes that are alike the same RankPlaces, otherwise placements that are
/// equal; and if replicas are made of the same kinds of devices. Of orders that are alike the first counts of
///
///   the usual one; those of the dimensions of more than one rank, lexicographically, the others behind them
class RankOrders {
 public:
  /// @param task  must outlive this
  explicit RankOrders(const Task& task);

  /// Of a strategy's sizes (dp, tp, pp, cp, ep) the orders that are told apart, the usual one first.
  OrderSets of(const Strategy& sizes) const;
  /// Whether there is one in `orders`, earlier than `other`, that meets the same but where units exchange:
  /// where these are no slower, no strategy is.
  bool stand_for(const Strategy& sizes, const OrderSet& orders, const RankOrder& other) const;

 private:
  /// What of an order a forecast sees.
  struct Seen {
    RankPlaces places{};                       ///< of a cluster told in short
    std::vector<const GroupPlacement*> met{};  ///< of another
    std::vector<Replica> replicas{};
    friend bool operator==(const Seen&, const Seen&) = default;
    bool same_units(const Seen& other) const;
    bool same_beside_units(const Seen& other) const;
  };
  Seen seen(Strategy strategy, const RankOrder& order) const;
  std::vector<const GroupPlacement*> met(const Strategy& strategy) const;
  const GroupPlacement* placed(const RankGroup& group) const;
  const GroupPlacement* joined(int a, int b) const;
  const GroupPlacement* one_of(GroupPlacement placement) const;

  const Task& task_;
  bool alike_;  ///< devices are of one kind
  mutable std::vector<std::unique_ptr<const GroupPlacement>> distinct_;
  mutable std::map<std::vector<int>, const GroupPlacement*> groups_;
  mutable std::map<std::pair<int, int>, const GroupPlacement*> pairs_;
};

}  // namespace foreplan
