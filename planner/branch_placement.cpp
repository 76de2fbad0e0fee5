#include "planner/branch_placement.hpp"

#include <algorithm>
#include <numeric>

#include "planner/ceil_div.hpp"

namespace foreplan {
namespace {

std::size_t place(std::int32_t layer) { return static_cast<std::size_t>(layer); }

/// Whether devices to the power of groups is at most kMostPlacements.
bool few(std::int64_t devices, std::int64_t groups) {
  std::int64_t count = 1;
  for (std::int64_t i = 0; i < groups && count <= kMostPlacements; ++i) count *= devices;
  return count <= kMostPlacements;
}

class PlacementSearch {
 public:
  PlacementSearch(const Stretch& stretch, const StretchCost& cost, int devices)
      : stretch_(stretch), devices_(devices), schedule_(stretch, cost, devices) {}

  PlacedStretch best() {
    const auto layers = place(stretch_.size());
    take(BranchPlacement(layers, 0));
    best_.proven = layers == 1 || devices_ == 1;
    if (best_.proven) return std::move(best_);
    std::vector<std::int32_t> alone(layers);
    std::iota(alone.begin(), alone.end(), 0);
    alone.back() = -1;
    if (few(devices_, stretch_.size() - 1)) {
      try_all(alone, stretch_.size() - 1);
      best_.proven = true;
      return std::move(best_);
    }
    const std::vector<std::int32_t> branches = branches_of(stretch_);
    const std::int32_t count = 1 + *std::max_element(branches.begin(), branches.end());
    if (few(devices_, count)) try_all(branches, count);
    take(schedule_.earliest_finish());
    return std::move(best_);
  }

 private:
  void take(BranchPlacement placement) {
    const Duration time = schedule_.time(placement);
    if (!best_.placement.empty() && time >= best_.time) return;
    best_.placement = std::move(placement);
    best_.time = time;
  }

  /// Groups of layers on every device. Devices but the first are alike, so that a group takes one that others
  /// have, or the next.
  void try_all(const std::vector<std::int32_t>& group_of, std::int32_t groups) {
    std::vector<std::int32_t> device(place(groups), 0);
    try_from(group_of, device, 0, 1);
  }

  void try_from(const std::vector<std::int32_t>& group_of, std::vector<std::int32_t>& device,
                std::size_t group, std::int32_t used) {
    if (group == device.size()) {
      BranchPlacement placement(group_of.size(), 0);
      for (std::size_t i = 0; i < group_of.size(); ++i) {
        if (group_of[i] >= 0) placement[i] = device[place(group_of[i])];
      }
      return take(std::move(placement));
    }
    for (std::int32_t d = 0; d < std::min(devices_, used + 1); ++d) {
      device[group] = d;
      try_from(group_of, device, group + 1, std::max(used, d + 1));
    }
  }

  const Stretch& stretch_;
  std::int32_t devices_;
  BranchSchedule schedule_;
  PlacedStretch best_;
};

/// The longest path in `times`.
Duration longest(const Stretch& stretch, const std::vector<Duration>& times) {
  std::vector<Duration> path(times.size());
  for (std::size_t i = 0; i < times.size(); ++i) {
    for (const std::int32_t input : stretch.inputs[i]) {
      if (input >= 0) path[i] = std::max(path[i], path[place(input)]);
    }
    path[i] += times[i];
  }
  return *std::max_element(path.begin(), path.end());
}

}  // namespace

PlacedStretch place_stretch(const Stretch& stretch, const StretchCost& cost, int devices) {
  return PlacementSearch(stretch, cost, devices).best();
}

Duration least_time(const Stretch& stretch, const StretchCost& cost, int devices) {
  const auto least = [&](const std::vector<Duration>& times) {
    const Duration work = std::accumulate(times.begin(), times.end(), Duration{});
    return std::max(longest(stretch, times), Duration{ceil_div(work.count(), devices)});
  };
  return least(cost.forward) + least(cost.backward);
}

}  // namespace foreplan
