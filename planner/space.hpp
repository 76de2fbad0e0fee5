#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/partition_space.hpp"
#include "planner/rank_orders.hpp"

namespace foreplan {

/// How many ranks each dimension has, and which of them are neighbours.
struct Sizes {
  int tp = 1, cp = 1, ep = 1, dp = 1, pp = 1;
  std::optional<RankOrder> order{};  ///< empty: any
  int devices() const { return tp * cp * dp * pp; }
  /// Of these ranks, in the usual order where none is told, all else neutral.
  Strategy strategy() const {
    return {.dp = dp, .tp = tp, .pp = pp, .cp = cp, .ep = ep, .order = order.value_or(RankOrder{})};
  }
  /// As Strategy::deals_whole_experts().
  bool deals_whole_experts() const { return ep > 1 && std::int64_t{cp} * dp % ep != 0; }
  friend auto operator<=>(const Sizes&, const Sizes&) = default;
};

/// What a rank does of a step at a time.
struct Share {
  std::int64_t micro_batch = 1, micro_batches = 1;
  bool sp = false;
  /// Zero 2 and 3: gradients go to who keeps them with every micro-batch, rather than being added up.
  bool sharded = false;
};

/// What is computed again: nothing, attention, all, or some layers of each virtual stage (recompute=full
/// with recompute_layers).
enum class Again : std::uint8_t { none, attention, some, all };
Recompute recompute_of(Again again);

/// In which order stages work, and what they keep.
struct Course {
  Schedule schedule = Schedule::one_f_one_b;
  int vpp = 1;
  Again again = Again::none;
};

/// Where state and activations lie.
struct Keeping {
  int zero = 0;
  Offload offload = Offload::none;
};

constexpr bool moves_activations(const Keeping& keeping) {
  return keeping.offload == Offload::activations || keeping.offload == Offload::all;
}

constexpr bool moves_state(const Keeping& keeping) {
  return keeping.offload == Offload::optimizer || keeping.offload == Offload::all;
}

inline constexpr std::size_t kMostSplitPlaces = 64;

/// Every strategy that a search looks at, as a tree:
///
///   sizes (tp, cp, ep, dp, pp) > share (micro-batch, sp, zero below 2 or not) > a set of orders of ranks
///     > course (schedule, vpp, recomputation) > a partition into virtual stages, and how many layers are
///     recomputed > keeping (zero, offload) > one of these orders
///
/// and, beside the tree, those that have steps of their own kind (is_apart()). docs/planner.md tells what is in
/// it and what is not. All of it can be laid out.
class StrategySpace {
 public:
  /// @param devices  to use at most
  /// @throws Error(invalid_argument) if the global batch is < 1 or the task's parts cannot be
  StrategySpace(const Task& task, std::shared_ptr<const UnitChain> chain, int devices);

  const UnitChain& chain() const { return *chain_; }
  const std::shared_ptr<const UnitChain>& shared_chain() const { return chain_; }

  /// In lexicographic order, each with the most stages that its ranks can have; every number of stages from
  /// fewest_stages() up to that is in the space. Where a cluster's nodes are of several kinds, there is a layout
  /// for each kind that its last stages reach.
  const std::vector<Sizes>& layouts() const { return layouts_; }
  /// From here on up to `layout.pp` stages reach nodes of the same kinds (groups_reached()).
  int fewest_stages(const Sizes& layout) const;
  /// Orders of ranks that differ (RankOrders), the usual one first.
  const OrderSets& orders(const Sizes& sizes) const;
  /// As RankOrders::stand_for().
  bool stand_for(const Sizes& sizes, const OrderSet& orders, const RankOrder& other) const;
  /// Beside the tree, complete, where the devices used are alike: with every dp > 1 that divides the batch
  ///   PyTorch's DataParallel
  ///   a split by layers, every micro-batch and place (split_places()) that its ranks can share, of more than
  ///     kMostSplitPlaces the last ones
  ///   and with every dp, bp from 2 to as many layers as can be at work at once, every micro-batch,
  ///     zero 0 and, of several replicas, 1
  const std::vector<Strategy>& apart() const { return apart_; }
  std::vector<Share> shares(const Sizes& sizes) const;
  std::vector<Course> courses(const Sizes& sizes, const Share& share) const;
  const std::vector<Keeping>& keepings(const Sizes& sizes, const Share& share) const {
    const KeepingLists& lists = keepings_[sizes.devices() <= host_devices_ ? 1 : 0];
    if (sizes.dp * sizes.cp == 1) return lists[0];
    return lists[share.sharded ? 2 : 1];
  }
  const PartitionSpace& partitions(int pp, int vpp) const;
  /// recompute_layers is 1 to this, in `Again::some`: less than the layers of the largest of even stages.
  int most_recomputed(int virtual_stages) const;

  /// How many strategies there are, of everything and, each for one order of ranks, below a node.
  std::int64_t count() const;
  std::int64_t count(const Sizes& sizes, const Share& share) const;
  std::int64_t count(const Sizes& sizes, const Share& share, const Course& course) const;
  std::int64_t count(int pp, int vpp, Again again) const;

 private:
  struct Split {
    int tp = 1, cp = 1, ep = 1;
    bool sp = false, whole_experts = false;
  };
  void find_splits();
  bool lowers(const Split& split);
  void find_keepings();
  void find_layouts();
  void find_apart(const std::vector<std::int64_t>& replicas);
  std::int64_t courses_count(int pp, bool chunks) const;
  bool takes(const Sizes& sizes, bool sp) const;
  void add_layouts(const Split& split, const std::vector<std::int64_t>& replicas);

  const Task& task_;
  std::shared_ptr<const UnitChain> chain_;
  int devices_;
  int most_stages_ = 1;
  bool attention_ = false;
  std::vector<Split> splits_;
  std::vector<Sizes> layouts_;
  std::vector<Strategy> apart_;
  /// Of one replica; of more, zero below 2, and others.
  using KeepingLists = std::array<std::vector<Keeping>, 3>;
  std::array<KeepingLists, 2>
      keepings_;          ///< of devices some of which cannot offload; of those that can
  int host_devices_ = 0;  ///< the first that can, one behind the other
  RankOrders distinct_orders_;
  mutable std::map<Sizes, OrderSets> orders_;
  mutable std::map<std::pair<int, bool>, PartitionSpace> partitions_;
  mutable std::vector<std::int64_t>
      courses_counts_;  ///< by stages, chunks or not; -1: not yet known
};

}  // namespace foreplan
