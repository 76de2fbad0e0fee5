#pragma once

#include <map>
#include <utility>

#include "sim/profile.hpp"

namespace foreplan {

/// What joins two devices, both ways alike.
struct LinkRate {
  Bandwidth bandwidth{};
  Duration latency{};
  bool duplex = true;  ///< both ways at once go as fast as one
};

/// What copies tell about the links of a machine.
struct LinkRates {
  /// By pair of devices, the lower first.
  std::map<std::pair<DeviceId, DeviceId>, LinkRate> pairs;
  /// Whether a device's copies to several others share one port: to all others at once they went less
  /// than 1.5 times as fast, added up, as to one of them.
  bool one_port = false;
};

/// From `copies` and `copies_together` of a profile.
///
/// Latency and bandwidth of a pair are overhead and rate of the line (profiler/fit.hpp) through all
/// sizes of both its directions. It is duplex unless, at the largest size that was copied both ways at
/// once, a copy took more than 4/3 of its time alone. Copies of a device to itself are left out.
LinkRates link_rates(const Profile& profile);

}  // namespace foreplan
