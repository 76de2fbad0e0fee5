#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "planner/rank_groups.hpp"
#include "planner/replicas.hpp"
#include "planner/stage_layout.hpp"
#include "planner/unit_cost.hpp"

namespace foreplan {

/// With what a device of `kind` prices a strategy's units.
Pricing unit_pricing(const Task& task, const Strategy& strategy, const DeviceKind& kind,
                     Recompute recompute, const CostModel& costs);

/// The units of a chain as one rank does them: what all strategies with the same tp, cp, ep, sp and
/// micro-batch have in common that add up the gradients of micro-batches, or do not (a single one, or
/// zero >= 2).
class UnitTable {
 public:
  /// @param strategy  its micro-batch told; dp as far as `groups` knows it
  /// @throws Error(invalid_argument) naming the layer if tp, cp or ep cannot share it
  UnitTable(const Task& task, const UnitChain& chain, const Strategy& strategy,
            const RankGroups& groups);
  /// The units of `lowered` where `groups` lie: only what exchanges take is another.
  UnitTable(const Task& task, const UnitTable& lowered, const RankGroups& groups);

  /// By unit class, exchanges timed.
  const std::vector<UnitWork>& works() const { return works_; }

  /// Whether every exchange is as fast as the same one there.
  bool exchanges_within(const UnitTable& other) const;

  /// What the class took where it was measured whole.
  std::optional<LayerTimes> measured(const Task& task, const Strategy& strategy,
                                     std::size_t unit_class, const CostModel& costs) const;

  /// Prices every class on every kind of device with the task's costs, once.
  void price_all(const Task& task, const Strategy& strategy, const std::vector<DeviceKind>& kinds);
  /// The price on `kind` with `costs`; null where price_all() has not found it.
  const UnitCost* priced(std::size_t unit_class, Recompute recompute, const DeviceKind& kind,
                         const CostModel& costs) const;

 private:
  using Prices = std::array<std::vector<UnitCost>, 3>;  ///< by recomputation, then unit class
  std::vector<UnitWork> works_;
  std::vector<std::string> names_;  ///< of their blocks, or layers
  const CostModel* costs_ = nullptr;
  std::vector<DeviceKind> kinds_;
  std::vector<Prices> prices_;  ///< by kind
};

}  // namespace foreplan
