#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "planner/estimate.hpp"

namespace foreplan {

/// What the search did, and what that proves.
struct Certificate {
  std::int64_t strategies = 0;     ///< in the space
  std::int64_t out_of_memory = 0;  ///< of the simulated ones, those that do not fit
  std::int64_t bounded_out = 0;    ///< not simulated because a bound rules them out
  std::int64_t simulated = 0;
  Duration lower_bound{};  ///< no strategy of the space that fits is faster than this
  double gap = 0;          ///< step time over lower bound, minus 1; 0 is proven best
};

struct Plan {
  std::optional<Estimate> best;  ///< empty: nothing fits
  Certificate certificate;
  Estimate one_device;  ///< dp = tp = pp = 1, the whole batch at once: what speed-ups are over
  /// The next best, one for each (dp, tp, pp, schedule, micro-batch), fastest first; also those that
  /// do not fit, behind those that do.
  std::vector<Estimate> alternatives;
};

struct SearchOptions {
  int devices = 0;       ///< use at most so many; 0: all of the cluster
  std::size_t top = 10;  ///< alternatives kept
  /// Called now and then with how many of how many strategies are done.
  std::function<void(std::int64_t done, std::int64_t all)> progress{};
};

/// Every strategy of the space: dp, tp and pp with dp tp pp <= devices, every micro-batch that is the
/// share over a power of two, GPipe and 1F1B for pp > 1, every legal partition into stages where
/// there are at most kMostPartitions of them and the balanced one otherwise.
inline constexpr std::size_t kMostPartitions = 512;
std::vector<Strategy> strategy_space(const Task& task, int devices);

/// Simulates every strategy of the space and returns the one with the least step time that fits.
///
/// Of equal times the one with fewer devices wins, then the lexicographically least Strategy. The
/// search is exhaustive, so lower_bound is the best time itself and the gap is 0.
/// @throws Error(invalid_argument) if the global batch is < 1
Plan plan(const Task& task, const SearchOptions& options);

}  // namespace foreplan
