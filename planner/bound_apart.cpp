#include <algorithm>

#include "planner/bound.hpp"
#include "planner/branch_step.hpp"

namespace foreplan {
namespace {

// Times are the least on any kind of device: which one does the work is told by the first devices.

/// Layers [0, from) as data parallelism has them; what lies behind may cost nothing.
Duration split_bound(const UnitSums& units, int from) {
  return Duration{units.least(Recompute::none).whole[static_cast<std::size_t>(from)]};
}

Duration branches_bound(const std::vector<Stretch>& stretches, const UnitSums& units, int bp) {
  const UnitSums::Times& times = units.least(Recompute::none);
  Duration sum{};
  for (const Stretch& stretch : stretches) {
    StretchCost cost;
    for (std::int32_t i = stretch.first; i < stretch.first + stretch.size(); ++i) {
      const auto u = static_cast<std::size_t>(i);
      const std::int64_t whole = times.whole[u + 1] - times.whole[u];
      cost.forward.emplace_back(times.forward[u + 1] - times.forward[u]);
      cost.backward.push_back(Duration{whole} - cost.forward.back());
    }
    sum += least_time(stretch, cost, std::min(bp, stretch.width));
  }
  return sum;
}

}  // namespace

Duration Bounds::of(const Strategy& apart) {
  const Sizes sizes{.dp = apart.dp};
  const std::int64_t share = task_.global_batch / apart.dp;
  const std::int64_t micro_batch = apart.micro_batch.value_or(share);
  const Share each{.micro_batch = micro_batch, .micro_batches = share / micro_batch};
  const UnitSums& units = this->units(sizes, each);
  if (apart.split_from > 0) return each.micro_batches * split_bound(units, apart.split_from);
  if (apart.bp > 1) return each.micro_batches * branches_bound(stretches_, units, apart.bp);
  // DataParallel. The last unit holds the loss, which one device computes.
  const WeightSums& whole = units.least(Recompute::none).whole;
  return Duration{whole[whole.size() - 2]};
}

}  // namespace foreplan
