#include "planner/gradient_sync.hpp"

#include <algorithm>

#include "planner/ceil_div.hpp"
#include "planner/overlap.hpp"

namespace foreplan {
namespace {

/// Fills buckets and notes when they go.
class BucketPlan {
 public:
  BucketPlan(const Strategy& strategy, const RankGroups& groups, const Stack& stack)
      : groups_(groups),
        stack_(stack),
        kind_(strategy.zero >= 1 ? CollectiveKind::reduce_scatter : CollectiveKind::all_reduce),
        limit_(gradient_buckets(groups, stack).first),
        bucket_(gradient_buckets(groups, stack).others) {}

  void add(const UnitWork& work, std::size_t unit) {
    filled_ += Bytes{work.dense_parameters * stack_.gradient_bytes};
    while (filled_ >= limit_) {
      send(unit, limit_);
      filled_ -= limit_;
      limit_ = bucket_;
    }
    if (work.expert_parameters == 0) return;
    const Bytes experts{work.expert_parameters * stack_.gradient_bytes};
    sends_.push_back({unit, groups_.time(kind_, experts, groups_.expert_data())});
  }

  std::vector<BucketSend> finish(std::size_t last) && {
    if (filled_ > Bytes{}) send(last, filled_);
    return std::move(sends_);
  }

 private:
  void send(std::size_t unit, Bytes bytes) {
    // Most buckets are alike.
    if (bytes != last_bytes_) last_time_ = groups_.time(kind_, bytes, groups_.data());
    last_bytes_ = bytes;
    const bool more = !sends_.empty() && sends_.back().unit == unit;
    if (more)
      sends_.back().time += last_time_;
    else
      sends_.push_back({unit, last_time_});
  }

  const RankGroups& groups_;
  const Stack& stack_;
  CollectiveKind kind_;
  Bytes limit_, bucket_, filled_{};
  std::vector<BucketSend> sends_;
  Bytes last_bytes_{-1};
  Duration last_time_{};
};

/// Backward and the wire beside it.
class Step {
 public:
  explicit Step(const CostModel::Overlap& overlap) : overlap_(overlap) {}

  Duration now() const { return lanes_.computed; }
  Duration wire() const { return lanes_.wire; }
  /// By how much the last chunk's backward ends later than it would alone.
  Duration slowed() const { return slowed_; }

  void begin(Duration start) {
    lanes_.computed = start;
    slowed_ = {};
  }

  void compute(Duration time) {
    const Duration alone = lanes_.computed + time;
    lanes_ = compute_beside(lanes_.computed, time, lanes_.wire, overlap_);
    slowed_ += lanes_.computed - alone;
  }

  void send(Duration time, Duration ready) { lanes_.wire = std::max(lanes_.wire, ready) + time; }

 private:
  CostModel::Overlap overlap_;
  Lanes lanes_;
  Duration slowed_{};
};

}  // namespace

GradientBuckets gradient_buckets(const RankGroups& groups, const Stack& stack) {
  const Bytes least = groups.data_ranks() * stack.bucket_per_rank;
  if (least > stack.bucket) return {least, least};
  return {stack.first_bucket, stack.bucket};
}

std::vector<BucketSend> plan_buckets(const std::vector<const UnitWork*>& units,
                                     const Strategy& strategy, const RankGroups& groups,
                                     const Stack& stack) {
  if (groups.data_ranks() == 1 || units.empty()) return {};
  BucketPlan plan(strategy, groups, stack);
  for (std::size_t u = 0; u < units.size(); ++u) plan.add(*units[u], u);
  return std::move(plan).finish(units.size() - 1);
}

AggregatedGradients gradients_done(const std::vector<LastBackward>& chunks, bool overlapped,
                                   const CostModel::Overlap& overlap) {
  Step lanes(overlapped ? overlap : CostModel::Overlap{});
  Duration last{};
  for (const LastBackward& chunk : chunks) last = std::max(last, chunk.finish);
  for (const LastBackward& chunk : chunks) {
    lanes.begin(chunk.start);
    std::size_t done = 0;
    for (const BucketSend& send : *chunk.buckets) {
      for (; done <= send.unit; ++done) lanes.compute(chunk.times[done]);
      lanes.send(send.time, overlapped ? lanes.now() : last);
    }
    for (; done < chunk.times.size(); ++done) lanes.compute(chunk.times[done]);
  }
  const Duration late = lanes.slowed();
  return {.finish = last + late, .ready = std::max(last + late, lanes.wire())};
}

std::int64_t own_parameters(const StageState& state, const Strategy& strategy,
                            const RankGroups& groups) {
  if (strategy.zero == 0) return state.dense + state.expert;
  return ceil_div(state.dense, groups.data_ranks()) +
         ceil_div(state.expert, groups.expert_data_ranks());
}

Duration gather_updated(const StageState& state, const Strategy& strategy, const RankGroups& groups,
                        const Stack& stack, DType dtype) {
  if (strategy.zero != 1 && strategy.zero != 2) return {};
  if (stack.overlap_parameters) return {};
  UnitWork all;
  all.dense_parameters = state.dense;
  all.expert_parameters = state.expert;
  return over_replicas(all, CollectiveKind::all_gather, element_size(dtype).count, groups);
}

Duration over_replicas(const UnitWork& unit, CollectiveKind kind, std::int64_t size,
                       const RankGroups& groups) {
  const auto time = [&](std::int64_t parameters, const GroupPlacement& group) {
    return parameters > 0 ? groups.time(kind, Bytes{parameters * size}, group) : Duration{};
  };
  return time(unit.dense_parameters, groups.data()) +
         time(unit.expert_parameters, groups.expert_data());
}

}  // namespace foreplan
