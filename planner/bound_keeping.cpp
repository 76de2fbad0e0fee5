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
      keepings_(bounds.space().keepings(sizes, share)) {}

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

/// By gathers and moves, without those that do more than another.
std::array<bool, 4> KeepingBounds::lanes(Keepings some) const {
  std::array<bool, 4> found{};
  for (std::size_t k = 0; k < keepings_.size(); ++k) {
    if ((some >> k & 1) == 0) continue;
    found[(keepings_[k].zero == 3 ? 2U : 0U) + (moves_activations(keepings_[k]) ? 1U : 0U)] = true;
  }
  found[1] = found[1] && !found[0];
  found[2] = found[2] && !found[0];
  found[3] = found[3] && !found[0] && !found[1] && !found[2];
  return found;
}

/// Forward and backward.
std::int64_t KeepingBounds::pass(const Work& work, const Lane& lane) const {
  std::int64_t wire = lane.gathers ? work.gathers : 0;
  if (lane.moves) {
    // Each unit's copy may be rounded down.
    const std::int64_t copy = (Bytes{work.saved} / bounds_.fastest_host()).count();
    wire = std::max(wire, copy - static_cast<std::int64_t>(units_.dense.size()));
  }
  return std::max(work.forward, wire) + std::max(work.backward, wire);
}

template <typename Bound>
std::int64_t KeepingBounds::least(Keepings some, const Bound& bound) const {
  const std::array<bool, 4> asked = lanes(some);
  std::int64_t least = kNever;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i]) least = std::min(least, bound(Lane{.gathers = i >= 2, .moves = i % 2 == 1}));
  }
  return least;
}

KeepingBounds::Work KeepingBounds::all_work(Recompute recompute, std::int64_t saved) const {
  const UnitSums::Times& times = units_.least[static_cast<std::size_t>(recompute)];
  return {.forward = times.forward.back(),
          .backward = times.whole.back() - times.forward.back(),
          .gathers = share_.sharded ? facts_.sharded(units_, 3).gather.back() : 0,
          .saved = saved};
}

/// Behind the pipeline all stages hear of all gradients' norm, and the host takes its part.
Duration KeepingBounds::ended(std::int64_t time) const {
  return Duration{time} + facts_.norm(sizes_.pp) + bounds_.host_step();
}

Duration KeepingBounds::of(Keepings some) {
  const Work all = all_work(Recompute::none, units_.saved_least.back());
  const std::int64_t beside = least(
      some, [&](const Lane& lane) { return share_.micro_batches * pass(all, lane) / sizes_.pp; });
  return ended(std::max(bounds_.of(sizes_, share_, units_).count(), beside));
}

Duration KeepingBounds::of(const Course& course, Keepings some) {
  const Work all = all_work(fastest(course.again), least_saved(units_, course.again).back());
  const std::int64_t beside = least(some, [&](const Lane& lane) {
    const std::int64_t mean = share_.micro_batches * pass(all, lane) / sizes_.pp;
    const bool chunks = course.schedule == Schedule::interleaved;
    return chunks ? std::max(mean, last_stage(course, lane)) : mean;
  });
  return ended(std::max(bounds_.of(sizes_, share_, course, units_, facts_).count(), beside));
}

/// Interleaved, where the partitions hang on no price: of each the last stage, which works behind the first
/// chunks of all others, and they behind it.
std::int64_t KeepingBounds::last_stage(const Course& course, const Lane& lane) {
  const UnitSums::Times& times = units_.least[static_cast<std::size_t>(fastest(course.again))];
  const WeightSums* gather = lane.gathers ? &facts_.sharded(units_, 3).gather : nullptr;
  const WeightSums& saved = least_saved(units_, course.again);
  std::int64_t shortest = kNever;
  for (const EndStages& ends : bounds_.end_stages(sizes_.pp, course.vpp)) {
    const std::int64_t whole = ends.last.of(times.whole), forward = ends.last.of(times.forward);
    const Work last{.forward = forward,
                    .backward = whole - forward,
                    .gathers = gather != nullptr ? ends.last.of(*gather) : 0,
                    .saved = lane.moves ? ends.last.of(saved) : 0};
    const std::int64_t work = share_.micro_batches * pass(last, lane);
    shortest = std::min(shortest, ends.before.of(times.whole) + work);
  }
  if (shortest == kNever) return 0;
  const Duration way = facts_.way(sizes_.pp, units_.least_leaving, share_.sp);
  return shortest + 2 * way.count();
}

}  // namespace foreplan
