#include "planner/sharded_walk.hpp"

#include <algorithm>

#include "planner/overlap.hpp"

namespace foreplan {

ShardedWalk walk_sharded(std::span<const ShardedUnit> units, bool prefetch,
                         const CostModel::Overlap& overlap) {
  Duration gathered{};
  Lanes lanes;
  if (!units.empty()) gathered = lanes.wire = units.front().gather;
  const auto send = [&](Duration time, Duration ready) {
    if (time > Duration::zero()) lanes.wire = std::max(lanes.wire, ready) + time;
  };
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Duration start = std::max(lanes.computed, gathered);
    const Duration next = i + 1 < units.size() ? units[i + 1].gather : Duration{};
    if (prefetch) send(next, start);
    lanes = compute_beside(start, units[i].compute, lanes.wire, overlap);
    if (!prefetch) send(next, lanes.computed);
    if (next > Duration::zero()) gathered = lanes.wire;
    send(units[i].reduce, lanes.computed);
  }
  return {.computed = lanes.computed, .communicated = std::max(lanes.computed, lanes.wire)};
}

}  // namespace foreplan
