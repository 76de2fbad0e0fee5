#include "planner/bound_keeping.hpp"

#include <algorithm>
#include <limits>

namespace foreplan {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// What layers take and keep at least of a micro-batch: some of them recomputed may be none.
Recompute fastest(Again again) {
  return again == Again::some ? Recompute::none : recompute_of(again);
}

const WeightSums& least_saved(const UnitSums& units, Again again) {
  if (again == Again::some) return units.saved_least;
  return units.saved[static_cast<std::size_t>(recompute_of(again))];
}

}  // namespace

KeepingBounds::KeepingBounds(Bounds& bounds, const Sizes& sizes, const Share& share,
                             const UnitSums& units, LayoutFacts& facts)
    : bounds_(bounds),
      sizes_(sizes),
      share_(share),
      units_(units),
      facts_(facts),
      keepings_(bounds.space().keepings(sizes, share)),
      gather_(share.sharded ? &facts.sharded(units, 3).gather : nullptr) {}

Keepings KeepingBounds::all() const { return (Keepings{1} << keepings_.size()) - 1; }

Keepings KeepingBounds::holding() const {
  Keepings found = 0;
  for (std::size_t k = 0; k < keepings_.size(); ++k) {
    if (bounds_.may_hold(sizes_, keepings_[k], units_, facts_)) found |= Keepings{1} << k;
  }
  return found;
}

Keepings KeepingBounds::fitting(const Course& course, Keepings some) const {
  Keepings found = 0;
  for (std::size_t k = 0; k < keepings_.size(); ++k) {
    if ((some >> k & 1) == 0) continue;
    const bool may = bounds_.may_fit(sizes_, share_, course, keepings_[k], units_, facts_);
    if (may) found |= Keepings{1} << k;
  }
  return found;
}

/// Offloading takes no less time than the same without.
bool KeepingBounds::another_is_faster(std::size_t keeping, Keepings some) const {
  const Keeping& mine = keepings_[keeping];
  for (std::size_t k = 0; k < keepings_.size(); ++k) {
    if ((some >> k & 1) == 0 || k == keeping || keepings_[k].zero != mine.zero) continue;
    const Offload other = keepings_[k].offload;
    if (other == Offload::none || (mine.offload == Offload::all && other != Offload::all))
      return true;
  }
  return false;
}

template <typename Bound>
std::int64_t KeepingBounds::least(Keepings some, const Bound& bound) const {
  std::int64_t least = kNever;
  for (std::size_t k = 0; k < keepings_.size(); ++k) {
    const bool asked = (some >> k & 1) != 0 && !another_is_faster(k, some);
    if (asked) least = std::min(least, bound(k));
  }
  return least;
}

/// Forward and backward.
std::int64_t KeepingBounds::pass(const Work& work, const Keeping& keeping) const {
  std::int64_t forward = work.forward, backward = work.backward;
  if (keeping.zero == 3) {
    forward = std::max(forward + work.first_gathers, work.gathers + work.last_forward);
    backward = std::max(backward + work.last_gathers, work.gathers + work.first_backward);
  }
  if (moves_activations(keeping)) {
    // Each chunk's copy may be rounded down.
    const std::int64_t copy = (Bytes{work.saved} / bounds_.fastest_host()).count() -
                              static_cast<std::int64_t>(units_.dense.size());
    forward = std::max(forward, copy);
    backward = std::max(backward, copy);
  }
  return forward + backward;
}

KeepingBounds::Work KeepingBounds::all_work(Recompute recompute, const WeightSums& saved) const {
  const UnitSums::Times& times = units_.least(recompute);
  return {.forward = times.forward.back(),
          .backward = times.whole.back() - times.forward.back(),
          .gathers = gather_ != nullptr ? gather_->back() : 0,
          .saved = saved.back()};
}

KeepingBounds::Work KeepingBounds::work_of(const StageUnits& stage, Again again) const {
  const UnitSums::Times& times = units_.least(fastest(again));
  Work work{.forward = stage.all.of(times.forward),
            .saved = stage.all.of(least_saved(units_, again))};
  work.backward = stage.all.of(times.whole) - work.forward;
  if (gather_ == nullptr) return work;
  work.gathers = stage.all.of(*gather_);
  work.first_gathers = stage.firsts.of(*gather_);
  work.last_gathers = stage.lasts.of(*gather_);
  work.last_forward = stage.lasts.of(times.forward);
  // A forward that repeats may gather on its own, and then stands apart.
  if (bounds_.stack().gather_again) return work;
  work.first_backward = stage.firsts.of(times.whole) - stage.firsts.of(times.forward);
  return work;
}

/// Whatever the partition, a stage's mean.
Duration KeepingBounds::of(Keepings some) {
  const Work all = all_work(Recompute::none, units_.saved_least);
  const std::int64_t beside = least(some, [&](std::size_t k) {
    return share_.micro_batches * pass(all, keepings_[k]) / sizes_.pp;
  });
  const std::int64_t time = std::max(bounds_.of(sizes_, share_, units_.totals[0]).count(), beside);
  return Duration{time} + facts_.norm(sizes_.pp) + bounds_.stack().host_step;
}

Duration KeepingBounds::of(const Course& course, Keepings some) {
  const Work all = all_work(fastest(course.again), least_saved(units_, course.again));
  const std::int64_t plain = bounds_.of(sizes_, share_, course, units_, facts_).count();
  const bool chunks = course.schedule == Schedule::interleaved;
  if (chunks) look_at_ends(course);
  const std::int64_t time = least(some, [&](std::size_t k) {
    const std::int64_t mean = share_.micro_batches * pass(all, keepings_[k]) / sizes_.pp;
    const std::int64_t beside = std::max(plain, mean);
    return chunks && !ends_.empty() ? of_ends(course, k, beside) : beside;
  });
  return Duration{time} + facts_.norm(sizes_.pp) + bounds_.stack().host_step;
}

void KeepingBounds::look_at_ends(const Course& course) {
  const UnitSums::Times& times = units_.least(fastest(course.again));
  const Duration way = facts_.way(sizes_.pp, units_.least_leaving, share_.sp);
  ends_.clear();
  for (const EndStages& ends : bounds_.end_stages(sizes_.pp, course.vpp)) {
    ends_.push_back({.units = &ends,
                     .around = ends.before.of(times.whole) + 2 * way.count(),
                     .first = work_of(ends.first, course.again),
                     .last = work_of(ends.last, course.again)});
  }
}

/// Interleaved, where the partitions hang on no price: of each the last stage, which works behind the first
/// chunks of all others, and they behind it; the first stage ends last.
/// @param beside  when it ends whatever the partition
std::int64_t KeepingBounds::of_ends(const Course& course, std::size_t keeping,
                                    std::int64_t beside) {
  const Keeping& how = keepings_[keeping];
  const std::int64_t m = share_.micro_batches;
  std::int64_t shortest = kNever;
  for (const Ends& ends : ends_) {
    const std::int64_t end =
        std::max({beside, m * pass(ends.first, how), ends.around + m * pass(ends.last, how)});
    shortest =
        std::min(shortest, end + exposed(*ends.units, course, how) + behind(*ends.units, keeping));
  }
  return shortest + facts_.tied(sizes_.pp, units_.tied.back()).count();
}

/// Until the first stage's gradients are aggregated, behind its end: those of its first chunk, whose last
/// backward ends it.
std::int64_t KeepingBounds::exposed(const EndStages& ends, const Course& course,
                                    const Keeping& keeping) {
  if (keeping.zero >= 2) return facts_.sharded(units_, keeping.zero).reduce[1];
  if (facts_.groups().data_ranks() == 1) return 0;
  const auto kind = keeping.zero == 1 ? CollectiveKind::reduce_scatter : CollectiveKind::all_reduce;
  std::int64_t all = facts_.buckets(ends.chunk.of(units_.dense), kind).all.count();
  if (ends.chunk.of(units_.expert) > 0) all += ends.chunk.of(facts_.experts(units_, kind));
  if (!bounds_.stack().overlap_gradients) return all;
  return std::max<std::int64_t>(0, all - last_backward(ends, course, keeping));
}

/// What the last backward of the first stage takes at most.
std::int64_t KeepingBounds::last_backward(const EndStages& ends, const Course& course,
                                          const Keeping& keeping) {
  const std::size_t kind = bounds_.devices(sizes_).replicas.front().front();
  const UnitSums::Times& times = units_.of(kind, recompute_of(course.again));
  const std::int64_t backward = ends.chunk.of(times.whole) - ends.chunk.of(times.forward);
  if (!moves_activations(keeping)) return backward;
  const WeightSums& saved = units_.saved[static_cast<std::size_t>(recompute_of(course.again))];
  const Bytes most{ends.chunk.of(units_.saved[0]) + ends.chunk.of(saved)};
  return backward + (most / bounds_.host_bandwidth(kind)).count() + 1;
}

std::int64_t KeepingBounds::behind(const EndStages& ends, std::size_t keeping) {
  const UnitCounts& stage = ends.first.all;
  for (const Behind& known : behind_) {
    if (known.keeping == keeping && *known.stage == stage) return known.time.count();
  }
  const Bounds::Optimized held{.state = {.dense = stage.of(units_.dense) + stage.of(units_.tied),
                                         .expert = stage.of(units_.expert),
                                         .fp8 = stage.of(units_.fp8)},
                               .update = stage.of(units_.update),
                               .unmeasured = stage.of(units_.unmeasured)};
  const std::size_t kind = bounds_.devices(sizes_).replicas.front().front();
  const Duration time = bounds_.behind(held, kind, keepings_[keeping], facts_);
  behind_.push_back({&stage, keeping, time});
  return time.count();
}

}  // namespace foreplan
