#pragma once

#include <vector>

#include "models/stack.hpp"
#include "planner/rank_groups.hpp"
#include "planner/strategy.hpp"
#include "planner/unit_cost.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// Units of a stage's chunk whose last backward is under way.
struct LastBackward {
  Duration start{}, finish{};
  std::vector<const UnitWork*> units;  ///< in the order of backward
  std::vector<Duration> times;         ///< of each unit's part of it
};

/// When a stage's gradients are aggregated.
///
/// Buckets fill in the order of backward; bucket j can go once it is full at r_j:
///   overlapped:  T = max_j (r_j + sum_{i >= j} AR_i)       otherwise:  T = finish + sum AR_i
/// AR is an all-reduce, with zero >= 1 a reduce-scatter, over the ranks that hold the same parameters.
/// Source: Li et al., PyTorch Distributed, VLDB 13(12), 2020.
/// @param chunks  in order of start
Duration gradients_done(const std::vector<LastBackward>& chunks, const Strategy& strategy,
                        const RankGroups& groups, const Stack& stack);

/// What a stage's parameters and gradients take, and how the replicas share them.
struct StageState {
  std::int64_t dense = 0, expert = 0;  ///< parameters of a rank, nothing sharded
};

/// Elements whose update is a rank's own: all, or with zero >= 1 its share.
std::int64_t own_parameters(const StageState& state, const Strategy& strategy,
                            const RankGroups& groups);

/// The parameters that replicas updated are gathered: zero 1 and 2.
Duration gather_updated(const StageState& state, const Strategy& strategy, const RankGroups& groups,
                        const Stack& stack, DType dtype);

}  // namespace foreplan
