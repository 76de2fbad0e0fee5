#pragma once

#include "planner/branch_schedule.hpp"

namespace foreplan {

/// Where the layers of a stretch lie, and what a way there and back takes.
struct PlacedStretch {
  BranchPlacement placement;
  Duration time{};
  bool proven = false;  ///< no other placement is faster in BranchSchedule's order
};

/// Not more placements than this are tried one by one.
inline constexpr std::int64_t kMostPlacements = 4096;

/// Places the layers of a stretch on `devices` devices that are alike.
///
/// All on one device; every placement, where there are at most kMostPlacements of them; else whole branches in
/// every way, where there are so few, and HEFT. The fastest of what was tried, of equals the first. So it is never
/// slower than one device, and where not everything was tried it may be beaten: that is a heuristic.
PlacedStretch place_stretch(const Stretch& stretch, const StretchCost& cost, int devices);

/// What no placement is faster than: forward, and likewise backward, its longest path and its work over the
/// devices.
Duration least_time(const Stretch& stretch, const StretchCost& cost, int devices);

}  // namespace foreplan
