#include "planner/sharded_walk.hpp"

#include <algorithm>

namespace foreplan {

ShardedWalk walk_sharded(std::span<const ShardedUnit> units, bool prefetch) {
  Duration compute_free{}, wire_free{}, gathered{};
  if (!units.empty()) gathered = wire_free = units.front().gather;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Duration start = std::max(compute_free, gathered);
    const Duration end = start + units[i].compute;
    if (i + 1 < units.size()) {
      wire_free = std::max(wire_free, prefetch ? start : end) + units[i + 1].gather;
      gathered = wire_free;
    }
    if (units[i].reduce > Duration::zero()) wire_free = std::max(wire_free, end) + units[i].reduce;
    compute_free = end;
  }
  return {.computed = compute_free, .communicated = std::max(compute_free, wire_free)};
}

}  // namespace foreplan
