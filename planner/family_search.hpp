#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "planner/family.hpp"

namespace foreplan {

/// Forecasts a strategy folded, whatever its size; where stages have no layers told, of a network that
/// runs the balanced partition, as estimate() takes it.
/// @throws Error(invalid_argument) with the reason if the strategy cannot be laid out
Estimate folded_estimate(const Task& task, const Strategy& strategy);

/// What any step of a layout works at least, from one micro-batch of the whole network on one stage:
///
///   W       forward and backward of a micro-batch, tensor-parallel exchanges that nothing hides included
///   bound   W m / p                          m micro-batches, p stages: the mean over stages
///           W / (1 - (1 - 1/m)^p)            at least, where a stage's backward is whole and in one chunk
///
/// The second: stage i ends no earlier than m t_i + sum_{j<i} t_j, as it waits for the first forward of the
/// stages before it and they for its last backward; of all t with sum W, the largest of these is least
/// where all are equal. Aggregation, optimizer, recomputation and hops come on top, so no member is faster.
///
/// Devices that differ: 0. Threads may share one.
class WorkBounds {
 public:
  explicit WorkBounds(const Task& task);
  /// @param strategy  its micro-batch told
  /// @return  empty if the units cannot be shared so; why not is in `reason`
  std::optional<Duration> bound(const Strategy& strategy, std::string& reason) const;

 private:
  struct Probe {
    std::optional<Duration> work;
    std::string reason;
  };
  using Key = std::tuple<int, int, int, bool, std::int64_t>;
  Probe probe(const Strategy& strategy) const;
  Probe measured(const Strategy& strategy) const;

  const Task& task_;
  bool alike_ = true;
  mutable std::mutex mutex_;
  mutable std::map<Key, Probe> probes_;
};

/// The best of a family on a number of devices.
struct Member {
  std::optional<Estimate> best;
  Obstacle obstacle = Obstacle::none;
  std::string reason;  ///< more about the obstacle; may be empty
};

/// The fastest member of `family` on exactly `devices` devices.
///
/// Members are the family's layouts, each with every micro-batch (micro_batches_of) and the least memory
/// saver that fits: no recomputation, selective, full; a hybrid's optimizer state is sharded (zero 1)
/// before anything is recomputed. Members are forecast in the order of their bounds until no bound is below
/// the best time. Of equal times the lexicographically least strategy wins.
/// @param known  a member of the hybrid family that is already forecast, if any
Member best_member(const Task& task, Family family, int devices, const WorkBounds& bounds,
                   std::optional<Estimate> known = {});

}  // namespace foreplan
