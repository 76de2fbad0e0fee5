#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/stack.hpp"
#include "planner/rank_groups.hpp"
#include "planner/strategy.hpp"
#include "planner/unit_work.hpp"
#include "sim/cost_model.hpp"

namespace foreplan {

/// A bucket of gradients on its way: it is full when backward is done with unit `unit` of its chunk.
struct BucketSend {
  std::size_t unit = 0;  ///< counted in the order of backward
  Duration time{};
};

/// How large buckets are: the first, and the others; all of them at least Stack::bucket_per_rank for each rank
/// that holds the same parameters.
struct GradientBuckets {
  Bytes first{}, others{};
};
GradientBuckets gradient_buckets(const RankGroups& groups, const Stack& stack);

/// The buckets of a chunk's gradients, in the order in which backward fills them.
///
/// The first holds `Stack::first_bucket` bytes, the others `bucket`, all of them at least `bucket_per_rank` for
/// each rank, the last what is left; experts'
/// gradients go on their own, among fewer replicas. A bucket is all-reduced over the ranks that hold the
/// same parameters, with zero >= 1 reduce-scattered. None where there are no such ranks.
/// @param units  in the order of backward
std::vector<BucketSend> plan_buckets(const std::vector<const UnitWork*>& units,
                                     const Strategy& strategy, const RankGroups& groups,
                                     const Stack& stack);

/// A chunk's last backward as it runs, and the buckets that it fills.
struct LastBackward {
  Duration start{}, finish{};
  std::vector<Duration> times;  ///< of each unit's part, in the order of backward
  const std::vector<BucketSend>* buckets = nullptr;
};

/// What comes of a stage's last backwards.
struct AggregatedGradients {
  Duration finish{};  ///< backward, which buckets beside it may have slowed down
  Duration ready{};   ///< all gradients are aggregated
};

/// When a stage's gradients are aggregated.
///
/// Bucket j can go once it is full at r_j, and one goes behind the other:
///   overlapped:  T = max_j (r_j + sum_{i >= j} AR_i)       otherwise:  T = finish + sum AR_i
/// While both run, backward takes `overlap.compute` times as long and a bucket `overlap.communication`
/// times; what lies between a stage's last backwards is not slowed.
/// Source: Li et al., PyTorch Distributed, VLDB 13(12), 2020.
/// @param chunks  in order of start
AggregatedGradients gradients_done(const std::vector<LastBackward>& chunks, bool overlapped,
                                   const CostModel::Overlap& overlap);

/// A stage's parameters on one rank, nothing sharded.
struct StageState {
  std::int64_t dense = 0, expert = 0;
  std::int64_t fp8 = 0;  ///< of both: those that are multiplied as fp8
};

/// Elements whose update is a rank's own: all, or with zero >= 1 its share.
std::int64_t own_parameters(const StageState& state, const Strategy& strategy,
                            const RankGroups& groups);

/// The parameters that replicas updated are gathered: zero 1 and 2, unless beside the next forward.
Duration gather_updated(const StageState& state, const Strategy& strategy, const RankGroups& groups,
                        const Stack& stack, DType dtype);

/// Over the replicas of a unit: `size` bytes a parameter, experts apart.
Duration over_replicas(const UnitWork& unit, CollectiveKind kind, std::int64_t size,
                       const RankGroups& groups);

}  // namespace foreplan
