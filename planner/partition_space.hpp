#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/stage_layout.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Borders of virtual stages in a chain: entry j is the first unit of stage j; one more at the end.
using Borders = std::vector<std::int32_t>;

/// The layers of each virtual stage, as `layers=` tells them, and the other way round.
std::vector<int> layers_of(const UnitChain& chain, const Borders& borders);
Borders borders_of(const UnitChain& chain, std::span<const int> layers);

/// More partitions than these of a network into so many stages are not all looked at.
inline constexpr std::size_t kMostPartitions = 512;

/// How a chain may be cut into virtual stages.
///
/// Where the legal cuts allow at most kMostPartitions, all of them (`listed`). Otherwise a family of four, of
/// which some may coincide. With one chunk a stage, or where some cuts are not legal:
///
///   even      as even_layers() has it
///   front     the slowest stage is fastest (to a thousandth), stages filled from the front
///   back      the same time, stages filled from the back
///   memory    the fullest stage holds least (to a thousandth), nothing sharded or offloaded
///
/// With more chunks (`listed` too), where the ends make up for embedding and head: even; the first and the
/// last virtual stage a layer less; the last one a layer less; two less.
class PartitionSpace {
 public:
  PartitionSpace(const UnitChain& chain, int virtual_stages, bool chunks);

  /// How many members, each kind of the family counted.
  std::int64_t count() const { return listed_.empty() ? family_ : std::ssize(listed_); }
  /// Those that hang on no price; empty: the family of one chunk a stage.
  const std::vector<Borders>& listed() const { return listed_; }
  /// Empty where even_layers() finds no legal cuts.
  const Borders& even() const { return even_; }

 private:
  std::vector<Borders> listed_;
  Borders even_;
  std::int64_t family_ = 0;
};

/// How many virtual stages a chain can be cut into at most.
int most_stages(const UnitChain& chain);

/// Sums of some weight over a chain's units: entry i is of units [0, i).
using WeightSums = std::vector<std::int64_t>;

/// What units weigh on a virtual stage: those of `sums`, and `times` those of `more`.
struct StageWeight {
  const WeightSums* sums = nullptr;
  const WeightSums* more = nullptr;
  std::int64_t times = 0;
  std::int64_t of(std::size_t begin, std::size_t end) const {
    const std::int64_t each = (*sums)[end] - (*sums)[begin];
    return more == nullptr ? each : each + times * ((*more)[end] - (*more)[begin]);
  }
};

/// The partition whose heaviest stage is lightest.
struct BalancedPartition {
  Borders front;  ///< each stage takes as many as it can, from the front
  Borders back;   ///< from the back
};

/// Bisection on the heaviest stage's weight; whether a weight can be held is told by filling stages one
/// after the other. O(stages log(units) log(weight)). Exact where units weigh the same on every stage; where
/// they do not, a stage that could be left with one heavy unit may make it miss the least, and `back` be
/// `front`.
/// @param weights  by virtual stage
/// @param resolution  the heaviest stage may weigh so much more than the least that it can; >= 1
/// @throws Error(invalid_argument) if there are too few legal cuts
BalancedPartition balance(const UnitChain& chain, std::span<const StageWeight> weights,
                          std::int64_t resolution = 1);

}  // namespace foreplan
