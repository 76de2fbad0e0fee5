#pragma once

#include <cstdint>

#include "profiler/session.hpp"
#include "sim/profile.hpp"

namespace foreplan {

/// What runs beside compute: a copy into the device, or the adding up of what was copied.
struct Communication {
  enum class Kind : std::uint8_t { copy, reduction };
  Kind kind{};
  DeviceId source{};  ///< copy: from where; the device itself: within it
  Bytes bytes;
};

/// How much `compute` and `communication` slow each other down on device 0.
///
/// Each runs alone, then both at once on a stream each, so often that both take about as long. Of the
/// run at once only tasks count that began and ended while the other stream was busy:
///
///   slowdown = mean time of such a task / mean time alone
///
/// A slowdown below one is noise and stays as it was measured; without a task that counts it is 1.
Interference measure_interference(Session& session, const OpKey& compute,
                                  const Communication& communication, int steps);

}  // namespace foreplan
