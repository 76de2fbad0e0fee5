#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/family.hpp"

namespace foreplan {

struct SpeedupOptions {
  int devices = 0;                 ///< at most; 0: all of the cluster
  std::vector<Family> families{};  ///< empty: all
  int threads = 1;                 ///< the result is the same for any number
};

/// The best of a family on a number of devices, or why there is none.
struct SpeedupPoint {
  int devices = 0;
  std::optional<Estimate> best;
  std::string split_from;  ///< Member::split_from
  Obstacle obstacle = Obstacle::none;
  std::string reason;     ///< more about the obstacle; may be empty
  double speedup = 0;     ///< over one device
  double efficiency = 0;  ///< speed-up over devices
};

struct FamilySpeedup {
  Family family{};
  std::vector<SpeedupPoint> points;  ///< in the order of SpeedupTable::devices
  /// The point with the least step time, of equals that with the fewest devices; empty: nothing fits.
  const SpeedupPoint* best() const;
};

/// What speed-ups are over.
struct SpeedupBaseline {
  int devices = 1;  ///< that the time was forecast for
  Family family{};
  Duration
      one_device{};  ///< devices times the step: one device's time, the real one's where devices = 1
};

/// Families of strategy side by side on 1, 2, 4, ... devices.
struct SpeedupTable {
  std::vector<int> devices;  ///< powers of two, and the most
  std::vector<FamilySpeedup> families;
  std::optional<SpeedupBaseline> baseline;  ///< empty: nothing fits
  /// The family with the least step time, of equals the first; empty: nothing fits.
  const FamilySpeedup* best() const;
};

/// Forecasts the best of every family (planner/family_search.hpp) on 1, 2, 4, ... devices.
///
/// Speed-ups are over the fastest step of one device, whatever its family. Where one device does not hold
/// the network they are over the fastest on the fewest devices that do, taken as so many times one device's:
/// that number of devices has efficiency 1.
/// Networks that the runtime runs in fp32 are forecast with its ring collectives, as `estimate --collectives ring`
/// forecasts them. A hybrid is what plan() finds with as many devices at hand, of which it may leave some idle: no
/// slower than any family but ZB-H2 and ZB-V, which plan() does not look at.
/// @throws Error(invalid_argument) if the task cannot be forecast at all
SpeedupTable speedup_table(const Task& task, const SpeedupOptions& options);

}  // namespace foreplan
