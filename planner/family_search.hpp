#pragma once

#include <optional>
#include <string>

#include "planner/family.hpp"
#include "planner/work_bounds.hpp"

namespace foreplan {

/// The best of a family on a number of devices.
struct Member {
  std::optional<Estimate> best;
  std::string split_from;  ///< layer split: the first layer that is shared by features
  Obstacle obstacle = Obstacle::none;
  std::string reason;  ///< more about the obstacle; may be empty
};

/// The fastest member of `family` on exactly `devices` devices; of hybrids, plan()'s answer on at most so many.
///
/// Members are the family's layouts, each with every micro-batch (micro_batches_of) and the least memory
/// saver that fits: no recomputation, selective, full; a layer split (planner/layer_split.hpp) has none, and is tried at every place. Members are forecast in the order of their bounds until no bound is below
/// the best time. Of equal times the lexicographically least strategy wins.
Member best_member(const Task& task, Family family, int devices, const WorkBounds& bounds);

}  // namespace foreplan
