#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/partition_space.hpp"

namespace foreplan {

/// What the search did, and what that proves. Every strategy of the space is counted once:
///
///   strategies = simulated + out_of_memory + bounded_out + open
struct Certificate {
  std::int64_t strategies = 0;     ///< in the space
  std::int64_t out_of_memory = 0;  ///< some device would be too small
  std::int64_t bounded_out = 0;    ///< not simulated: no faster than the best, a bound shows
  std::int64_t simulated = 0;      ///< of those that fit
  std::int64_t open = 0;           ///< left when the search was stopped
  Duration lower_bound{};          ///< no strategy of the space that fits is faster than this
  double gap = 0;                  ///< step time over lower bound, minus 1; 0 is proven best
};

struct Plan {
  std::optional<Estimate> best;  ///< empty: nothing fits
  Certificate certificate;
  Estimate one_device;  ///< dp = tp = pp = 1, the whole batch at once: what speed-ups are over
  /// The next best of those simulated, one for each family of strategies that differ in their partition and
  /// in how many layers are recomputed, fastest first. Where nothing fits: what comes nearest.
  std::vector<Estimate> alternatives;
};

struct SearchOptions {
  int devices = 0;          ///< use at most so many; 0: all of the cluster
  std::size_t top = 10;     ///< alternatives kept
  bool exhaustive = false;  ///< simulate everything
  double gap = 0;           ///< enough: a best that is at most so much above the lower bound
  int threads = 1;          ///< any number gives the same plan
  /// Asked now and then: whether to stop with what is found.
  std::function<bool()> stop{};
  /// Called now and then with how many of how many strategies are done.
  std::function<void(std::int64_t done, std::int64_t all)> progress{};
};

/// Whether a task is planned in the space of what the runtime runs, every strategy lowered to its tasks
/// and simulated: a network that it runs, on at most kMostLoweredDevices.
bool plans_to_run(const Task& task, int devices);

/// The space of what the runtime runs: dp, tp and pp with dp tp pp <= devices, every micro-batch that divides
/// the share (micro_batch_sizes()), GPipe and 1F1B for pp > 1, every legal partition into stages where there are at
/// most kMostPartitions of them, otherwise the balanced one and that with as many layers each.
std::vector<Strategy> strategy_space(const Task& task, int devices);

/// The strategy with the least step time that fits, and proof.
///
/// Where plans_to_run(), all of strategy_space() is simulated. Otherwise StrategySpace is searched, best
/// bound first: what is not simulated has a lower bound (planner/bound.hpp) that is no better than the best
/// time, or does not fit. Of equal times the one with fewer devices wins, then the lexicographically least
/// Strategy. docs/planner.md has space, bounds and proof.
/// @throws Error(invalid_argument) if the global batch is < 1, or the gap is not >= 0
Plan plan(const Task& task, const SearchOptions& options);

}  // namespace foreplan
