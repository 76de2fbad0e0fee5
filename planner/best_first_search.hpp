#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "planner/best_first.hpp"
#include "planner/bound_keeping.hpp"
#include "planner/bound_step.hpp"
#include "planner/frontier.hpp"
#include "planner/leaf_runner.hpp"

namespace foreplan {

/// A strategy that was simulated and fits.
struct Found {
  Duration step_time{};
  int devices = 0;
  LeafJob job;
};

/// The faster, of equals the one on fewer devices, then the lexicographically least.
inline bool better(const Found& a, const Found& b) {
  return std::tie(a.step_time, a.devices, a.job.strategy) <
         std::tie(b.step_time, b.devices, b.job.strategy);
}

/// The best of each family of strategies that differ in their partition, in where they split and in how many
/// layers are recomputed.
class Board {
 public:
  void add(Found found) {
    Strategy family = found.job.strategy;
    family.layers.clear();
    if (family.recompute_layers) family.recompute_layers = 0;
    if (family.split_from > 0) family.split_from = 1;
    const auto [place, fresh] = best_.try_emplace(std::move(family), found);
    if (!fresh && better(found, place->second)) place->second = std::move(found);
  }

  std::vector<Found> ranked() const {
    std::vector<Found> all;
    for (const auto& [family, found] : best_) all.push_back(found);
    std::sort(all.begin(), all.end(), better);
    return all;
  }

 private:
  std::map<Strategy, Found> best_;
};

/// Orders of ranks on their way to a node that is theirs.
struct OrdersNode {
  SearchNode node;  ///< told of the first of them
  OrderSet orders;
  Duration bound{};
};

/// The search of best_first(), in best_first.cpp; what concerns orders of ranks is in best_first_orders.cpp.
class BestFirst {
 public:
  BestFirst(const Task& task, const SearchOptions& options, int devices)
      : task_(folded_task(task)),
        options_(options),
        space_(task_, std::make_shared<const UnitChain>(unit_chain(task.model)), devices),
        bounds_(task_, space_),
        runner_(task_, space_.shared_chain(), options.threads) {}

  Plan run();

 private:
  using Level = SearchNode::Level;

  void plant();
  std::vector<std::int64_t> orders_by_stages(const Sizes& layout) const;
  void plant_apart();
  bool surely_too_large(const Strategy& scattered);
  void grow();
  void expand(SearchNode node);
  void add_stages(SearchNode node);
  void add_orders(SearchNode node);
  void add_order(SearchNode node);
  void tell_orders(SearchNode& node, const OrderSet& orders);
  void tell_order(SearchNode& node, const RankOrder& order);
  void split_orders(SearchNode node);
  bool takes_in(const OrdersNode& host, const OrdersNode& guest) const;
  void take_in(OrdersNode& host, const OrderSet& guests, std::int64_t strategies);
  void add_courses(SearchNode node);
  void fit(SearchNode node);
  void add_partitions(SearchNode node);
  void add_partition(SearchNode node);
  void add_leaves(SearchNode node);
  KeepingBounds keeping_bounds(const SearchNode& node);
  bool keep(SearchNode& node, Keepings some);
  StepBound bound_of(const SearchNode& node);
  int most_recomputed(const SearchNode& node) const;
  void push(const Rank& rank, SearchNode node);
  bool hopeless(const Rank& rank) const;
  bool close_enough(const Rank& rank) const;
  void simulate();
  void certify();
  void tell() const;
  std::optional<SearchNode> nearest();
  void look(SearchNode node, Bytes& least, std::optional<SearchNode>& nearest);

  const Task task_;
  const SearchOptions& options_;
  StrategySpace space_;
  Bounds bounds_;
  LeafRunner runner_;
  std::set<OrderSet> order_sets_;
  Frontier open_;
  std::vector<SearchNode> batch_;
  Board board_;
  std::optional<Found> best_;
  Certificate certificate_;
};

}  // namespace foreplan
