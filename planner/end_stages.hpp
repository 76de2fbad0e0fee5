#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "planner/partition_space.hpp"

namespace foreplan {

/// Units of one class.
struct UnitCount {
  std::int32_t unit = 0;  ///< the first of them in the chain
  std::int32_t count = 0;
  friend auto operator<=>(const UnitCount&, const UnitCount&) = default;
};

/// Units, counted by class: the sum of any weight over them is a few products.
class UnitCounts {
 public:
  void add(const UnitChain& chain, std::int32_t begin, std::int32_t end);

  std::int64_t of(const WeightSums& sums) const {
    std::int64_t all = 0;
    for (const UnitCount& some : counts_) {
      const auto unit = static_cast<std::size_t>(some.unit);
      all += some.count * (sums[unit + 1] - sums[unit]);
    }
    return all;
  }

  friend auto operator<=>(const UnitCounts&, const UnitCounts&) = default;

 private:
  std::vector<UnitCount> counts_;  ///< a class each, in the chain's order
};

/// What a stage of several chunks does of a micro-batch.
struct StageUnits {
  UnitCounts all;
  UnitCounts firsts, lasts;  ///< of each chunk the first unit and the last one
  friend auto operator<=>(const StageUnits&, const StageUnits&) = default;
};

/// What the ends of a pipeline do of a micro-batch: enough for a bound of several chunks a stage.
struct EndStages {
  UnitCounts before;  ///< the first chunks of all stages but the last
  UnitCounts chunk;   ///< the first chunk of the first stage
  StageUnits first, last;
  friend auto operator<=>(const EndStages&, const EndStages&) = default;
};

/// Of each of these partitions into `stages` with so many chunks as they have, without repetition, ordered.
std::vector<EndStages> end_stages(const UnitChain& chain, const std::vector<Borders>& partitions,
                                  int stages);

}  // namespace foreplan
