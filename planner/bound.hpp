#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "planner/branches.hpp"
#include "planner/end_stages.hpp"
#include "planner/layout_facts.hpp"
#include "planner/pipeline_schedule.hpp"
#include "planner/space.hpp"
#include "planner/unit_sums.hpp"
#include "planner/worker_pool.hpp"

namespace foreplan {

/// Lower bounds on FoldedStep's times and memory, from tables that strategies share.
///
/// docs/planner.md derives each. The prices in the tables are those that FoldedStep itself asks for
/// (UnitTable, RankGroups, gradient_sync, optimizer_update), so a bound follows whatever these say. A node
/// further down the tree is bounded no lower than one above it. Not for several threads at once.
class Bounds {
 public:
  /// @param task   folded_task(); it and the space must outlive this
  Bounds(const Task& task, const StrategySpace& space);

  /// Lowered and priced units of a share; made when first asked for. Where the order of ranks is not told, each
  /// exchange takes the least that it takes under any.
  const UnitSums& units(const Sizes& sizes, const Share& share);
  /// What they take in all; made when first asked for, or many at once.
  const UnitTotals& totals(const Sizes& sizes, const Share& share);
  void total(std::span<const std::pair<Sizes, Share>> all, WorkerPool& workers);
  LayoutFacts& facts(const Sizes& sizes);
  /// The least of what they are under these orders.
  LayoutFacts& facts(const Sizes& sizes, const OrderSet& orders);

  Duration of(const Sizes& sizes, const Share& share, const UnitTotals& units);
  Duration of(const Sizes& sizes, const Share& share, const Course& course, const UnitSums& units,
              LayoutFacts& facts);

  /// Of a strategy beside the tree (StrategySpace::apart()), from the same tables.
  Duration of(const Strategy& apart);

  /// Whether some partition might fit: state and activations of all layers have room if each stage takes no
  /// more of the lightest layers than its device can hold.
  bool may_fit(const Sizes& sizes, const Share& share, const Course& course, const Keeping& keeping,
               const UnitSums& units, LayoutFacts& facts);

  /// Whether the state of some partition might fit, and of every layer one micro-batch, unless activations move.
  bool may_hold(const Sizes& sizes, const Keeping& keeping, const UnitSums& units,
                LayoutFacts& facts) const;

  /// Partitions that a node's family names; see PartitionSpace. Whatever the order of ranks, those of the usual.
  std::vector<Borders> partitions(const Sizes& sizes, const Share& share, const Course& course);

  /// What a device of each stage may hold: the least of all replicas'.
  struct Devices {
    std::vector<std::vector<std::size_t>> replicas;  ///< distinct, the kind of each stage's device
    std::vector<Bytes> capacity;                     ///< by stage, the context not counted
  };
  const Devices& devices(const Sizes& sizes);
  /// Of devices.
  std::size_t kinds() const { return kinds_.size(); }

  /// What a stage's optimizer has to do.
  struct Optimized {
    StageState state{};
    std::int64_t update = 0, unmeasured = 0;  ///< UnitSums
  };
  /// Behind a stage's gradients: the optimizer, and updated parameters gathered.
  /// @param kind  of its device
  Duration behind(const Optimized& stage, std::size_t kind, const Keeping& keeping,
                  LayoutFacts& facts);

  const StrategySpace& space() const { return space_; }
  const Stack& stack() const { return task_.stack; }
  /// Of the partitions that hang on no price.
  const std::vector<EndStages>& end_stages(int pp, int vpp);
  /// Of a kind of devices the way to the host; of all kinds the fastest.
  Bandwidth host_bandwidth(std::size_t kind) const {
    return task_.cluster.specs()[static_cast<std::size_t>(kinds_[kind].spec)].host_bandwidth;
  }
  Bandwidth fastest_host() const { return fastest_host_; }

 private:
  friend class StepBound;
  /// Where groups lie: on nodes that are alike; elsewhere, by the order that puts them there.
  struct Where {
    int reached = 0;  ///< groups_reached()
    RankPlaces places{};
    std::optional<RankOrder> order{};
    int stages = 0;  ///< where other ranks lie behind them
    friend auto operator<=>(const Where&, const Where&) = default;
  };
  Where where(const Sizes& sizes) const;
  using UnitKey = std::tuple<int, int, int, std::int64_t, bool, bool, bool, Where>;
  static UnitKey unit_key(const Sizes& sizes, const Share& share, Where where);
  std::shared_ptr<const UnitSums> priced(const Sizes& sizes, const Share& share,
                                         const RankGroups& groups, const UnitSums* lowered) const;
  bool as_usual(const UnitTable& table, const Sizes& sizes);

  UnitKey any_order(const Sizes& sizes, const Share& share) const;
  /// Of the order told, or of any.
  UnitKey total_key(const Sizes& sizes, const Share& share) const;
  RankGroups groups_of(const Sizes& sizes) const;
  Bytes capacity(std::size_t kind) const;
  Duration update(std::int64_t own, std::int64_t fp8, std::size_t kind);
  std::int64_t heaviest(const Sizes& sizes, const UnitTotals& units);
  double slowest_replica(const Sizes& sizes, const UnitTotals& units);
  std::int64_t hops(const Sizes& sizes, const Share& share, int vpp, const UnitSums& units,
                    LayoutFacts& facts) const;
  std::int64_t filled(std::int64_t m, std::int64_t p, std::int64_t slowest,
                      const UnitSums::Times& times) const;
  const BalancedPartition& by_time(const Sizes& sizes, const Course& course, const UnitSums& units);
  const Borders& by_memory(const Sizes& sizes, const Share& share, const Course& course,
                           const UnitSums& units);

  const Task& task_;
  const StrategySpace& space_;
  std::vector<DeviceKind> kinds_;
  std::vector<std::int32_t> layers_;         ///< units that are layers
  std::vector<std::int32_t> layers_before_;  ///< by unit: how many layers stand before it
  std::vector<std::int32_t> run_ends_;       ///< by unit: behind the last of its class in a row
  std::map<UnitKey, std::shared_ptr<const UnitSums>> units_;
  std::map<UnitKey, UnitTotals> totals_;
  std::map<std::tuple<int, int, int, int, std::vector<Where>>, LayoutFacts> facts_;
  std::map<Sizes, Devices> devices_;
  std::map<std::tuple<std::int64_t, std::int64_t, std::size_t>, Duration> updates_;
  std::map<std::tuple<const UnitSums*, Recompute, std::vector<std::size_t>>, BalancedPartition>
      by_time_;
  std::map<std::tuple<const UnitSums*, Recompute, Schedule, int, int, std::int64_t>, Borders>
      by_memory_;
  std::map<std::pair<int, int>, std::vector<EndStages>> end_stages_;
  Bandwidth fastest_host_{};
  Bytes largest_{};  ///< of all kinds of devices, what one may hold
  std::vector<std::int64_t> held_;
  std::vector<Stretch> stretches_;
};

/// Chunks in flight at once on a stage, at some moment of every step of this shape, by chunk.
void held_chunks(const PipelineShape& shape, int stage, std::vector<std::int64_t>& held);
/// Of the chunk that is in flight least.
std::int64_t least_held(const PipelineShape& shape, int stage);

}  // namespace foreplan
