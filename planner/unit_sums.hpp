#pragma once

#include <array>
#include <memory>
#include <vector>

#include "planner/partition_space.hpp"
#include "planner/unit_table.hpp"

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
    std::int64_t least_layer = 0;       ///< the least that a layer takes in all
    double forward_share = 0;           ///< the largest share of a layer's time that is forward
    /// How fast this kind of device is at least, over the first kind: the least ratio of a unit's times.
    double pace = 1;
  };
  const Times& of(std::size_t kind, Recompute recompute) const {
    return times[kind][static_cast<std::size_t>(recompute)];
  }

  std::shared_ptr<const UnitTable> table;
  std::vector<std::array<Times, 3>> times;         ///< by kind of device, recomputation
  std::array<Times, 3> least;                      ///< of every unit its least on any kind
  std::array<WeightSums, 3> saved;                 ///< by recomputation [B]
  WeightSums saved_least;                          ///< of every unit the least of these
  std::array<std::int64_t, 3> least_saved;         ///< of a layer
  WeightSums dense, expert, tied, fp8;             ///< parameters
  WeightSums state;                                ///< of a rank that shares none [B]
  std::int64_t least_dense = 0, least_expert = 0;  ///< of a layer
  WeightSums update;      ///< of units that were measured whole, their updates [ps]
  WeightSums unmeasured;  ///< how many were not
  Bytes least_leaving{};  ///< of units that another stage may follow
};

}  // namespace foreplan
