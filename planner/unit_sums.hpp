#pragma once

#include <array>
#include <memory>
#include <vector>

#include "planner/partition_space.hpp"
#include "planner/unit_table.hpp"
#include "planner/unit_totals.hpp"

namespace foreplan {

/// What a chain's units cost and keep, summed from its beginning, so that any stage is a difference.
///
/// The units are those of a UnitTable, each at its own price; only layers are ever recomputed.
struct UnitSums {
  UnitSums(const Task& task, const UnitChain& chain, std::shared_ptr<const UnitTable> table,
           const std::vector<DeviceKind>& kinds, const Strategy& strategy);

  /// Work on one micro-batch [ps].
  struct Times {
    WeightSums forward, input, weight;  ///< exchanges and recomputation included
    WeightSums whole;                   ///< all three
    double forward_share = 0;           ///< the largest share of a layer's time that is forward
  };
  const Times& of(std::size_t kind, Recompute recompute) const {
    return times[kind][static_cast<std::size_t>(recompute)];
  }
  /// Of every unit its least on any kind of device.
  const Times& least(Recompute recompute) const {
    const auto r = static_cast<std::size_t>(recompute);
    return times.size() == 1 ? times.front()[r] : least_[r];
  }

  std::shared_ptr<const UnitTable> table;
  std::vector<std::array<Times, 3>> times;         ///< by kind of device, recomputation
  std::array<UnitTotals, 3> totals;                ///< by recomputation
  std::array<WeightSums, 3> saved;                 ///< by recomputation [B]
  WeightSums saved_least;                          ///< of every unit the least of these
  std::array<std::int64_t, 3> least_saved;         ///< of a layer
  WeightSums dense, expert, tied, fp8;             ///< parameters
  WeightSums state;                                ///< of a rank that shares none [B]
  std::int64_t least_dense = 0, least_expert = 0;  ///< of a layer
  WeightSums update;      ///< of units that were measured whole, their updates [ps]
  WeightSums unmeasured;  ///< how many were not
  Bytes least_leaving{};  ///< of units that another stage may follow

 private:
  std::array<Times, 3> least_;  ///< of several kinds of devices
};

}  // namespace foreplan
