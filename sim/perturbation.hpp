#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/cost_model.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// A device that is slower than its kind, as `--slow 3:1.3` says it.
struct SlowDevice {
  DeviceId device{};
  double factor = 1;  ///< its compute and host tasks take so many times as long
};

/// Makes a device slow: each duration of its compute and host tasks, times `factor`, rounded to the
/// nearest picosecond. What its transfers take stays.
/// @throws Error(invalid_argument) if the graph has no such device, or the factor is not finite and
///   above 0
void slow_down(Costs& costs, const TaskGraph& graph, const SlowDevice& slow);

/// Chance in how long tasks take.
struct Jitter {
  double deviation = 0;    ///< standard deviation of the factor, as a share of its mean
  std::uint64_t seed = 1;  ///< the same seed gives the same bytes
};

/// The factor of task `task` in run `run`, log-normal of mean 1:
///
///   factor = exp(s z - s^2 / 2),  s^2 = ln(1 + deviation^2),  z standard normal
///
/// Each is drawn by its place (seed, run, task) and not one after another, so that it depends on no
/// order. z by Box and Muller, Ann. Math. Stat. 29(2), 1958, from SplitMix64 (Steele, Lea and Flood,
/// OOPSLA 2014).
double jitter_factor(const Jitter& jitter, std::uint64_t run, TaskId task);

/// `costs` with each duration times its factor in run `run`, rounded to the nearest picosecond. Bytes
/// that share links stay.
/// @throws Error(invalid_argument) if the deviation is negative or not finite
Costs jittered(const Costs& costs, const Jitter& jitter, std::uint64_t run);

/// Makespans of many runs.
class MakespanSample {
 public:
  /// @throws Error(invalid_argument) without any
  explicit MakespanSample(std::vector<Duration> makespans);

  std::size_t runs() const { return sorted_.size(); }
  /// Rounded to the nearest picosecond.
  Duration mean() const;
  /// The least makespan that at least `percent` of the runs do not exceed (nearest rank); 0 gives the
  /// least of all, 100 the largest.
  /// @throws Error(invalid_argument) outside 0 to 100
  Duration percentile(double percent) const;

 private:
  std::vector<Duration> sorted_;
};

/// Simulates runs 0 to `runs` - 1 of `graph`, each at `jittered` costs. The graph is compiled once.
/// @throws Error(invalid_argument) if `runs` < 1, or as `simulate` and `jittered` do
MakespanSample simulate_jitter(const TaskGraph& graph, const Costs& costs, const Cluster& cluster,
                               const Jitter& jitter, int runs);

}  // namespace foreplan
