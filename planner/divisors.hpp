#pragma once

#include <cstdint>
#include <vector>

namespace foreplan {

/// The divisors of a number that are at most `most`, ascending; O(sqrt(number)).
std::vector<std::int64_t> divisors(std::int64_t number, std::int64_t most);

/// The micro-batches that a rank's share of the global batch can be cut into: its divisors, ascending, but for
/// those that would make more than kMostMicroBatches.
std::vector<std::int64_t> micro_batch_sizes(std::int64_t share);

}  // namespace foreplan
