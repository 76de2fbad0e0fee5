#include <algorithm>

#include "planner/bound.hpp"

namespace foreplan {
namespace {

/// Of chunk `c`. Those before are no less often in flight.
std::int64_t held_chunk(const PipelineShape& shape, int stage, std::int64_t c) {
  const std::int64_t p = shape.stages, v = shape.chunks, m = shape.micro_batches;
  switch (shape.schedule) {
    case Schedule::gpipe:
      return m;
    case Schedule::zb_h1:
      return std::min(m, p);
    case Schedule::interleaved: {
      const std::int64_t forwards = std::min(m * v, 2 * (p - stage - 1) + (v - 1) * p + 1);
      return forwards / (p * v) * p + std::clamp<std::int64_t>(forwards % (p * v) - c * p, 0, p);
    }
    default:
      return std::min(m, p - stage);
  }
}

}  // namespace

void held_chunks(const PipelineShape& shape, int stage, std::vector<std::int64_t>& held) {
  held.clear();
  for (int c = 0; c < shape.chunks; ++c) held.push_back(held_chunk(shape, stage, c));
}

std::int64_t least_held(const PipelineShape& shape, int stage) {
  return held_chunk(shape, stage, shape.chunks - 1);
}

const BalancedPartition& Bounds::by_time(const Sizes& sizes, const Course& course,
                                         const UnitSums& units) {
  const std::vector<std::size_t>& replica = devices(sizes).replicas.front();
  const Recompute recompute = recompute_of(course.again);
  std::vector<std::size_t> kinds;
  for (int c = 0; c < course.vpp; ++c) kinds.insert(kinds.end(), replica.begin(), replica.end());
  const auto [place, fresh] = by_time_.try_emplace({&units, recompute, kinds});
  if (!fresh) return place->second;
  std::vector<StageWeight> weights;
  for (const std::size_t kind : kinds) weights.push_back({&units.of(kind, recompute).whole});
  const std::int64_t all = weights.front().of(0, space_.chain().units.size());
  return place->second = balance(space_.chain(), weights, 1 + all / (1000 * std::ssize(weights)));
}

std::vector<Borders> Bounds::partitions(const Sizes& sizes, const Share& share,
                                        const Course& course) {
  const PartitionSpace& space = space_.partitions(sizes.pp, course.vpp);
  if (!space.listed().empty()) return space.listed();
  Sizes usual = sizes;
  usual.order = RankOrder{};
  const UnitSums& units = this->units(usual, share);
  std::vector<Borders> found;
  if (!space.even().empty()) found.push_back(space.even());
  const BalancedPartition& time = by_time(sizes, course, units);
  found.push_back(time.front);
  found.push_back(time.back);
  found.push_back(by_memory(sizes, share, course, units));
  return found;
}

const Borders& Bounds::by_memory(const Sizes& sizes, const Share& share, const Course& course,
                                 const UnitSums& units) {
  const PipelineShape shape{course.schedule, sizes.pp, course.vpp,
                            static_cast<int>(share.micro_batches)};
  const Recompute recompute = recompute_of(course.again);
  // What is in flight hangs on no more micro-batches than the first stage can hold.
  const std::int64_t most = held_chunk(shape, 0, 0);
  const auto [place, fresh] =
      by_memory_.try_emplace({&units, recompute, course.schedule, sizes.pp, course.vpp, most});
  if (!fresh) return place->second;
  const WeightSums& saved = units.saved[static_cast<std::size_t>(recompute)];
  std::vector<StageWeight> weights(static_cast<std::size_t>(sizes.pp * course.vpp));
  for (int s = 0; s < sizes.pp; ++s) {
    for (int c = 0; c < course.vpp; ++c) {
      weights[static_cast<std::size_t>(c * sizes.pp + s)] = {&units.state, &saved,
                                                             held_chunk(shape, s, c)};
    }
  }
  const std::int64_t heaviest = weights.front().of(0, saved.size() - 1);
  const std::int64_t resolution = 1 + heaviest / (1000 * std::ssize(weights));
  return place->second = balance(space_.chain(), weights, resolution).front;
}

}  // namespace foreplan
