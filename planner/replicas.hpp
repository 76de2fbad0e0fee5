#pragma once

#include <cstdint>
#include <vector>

#include "planner/estimate.hpp"

namespace foreplan {

/// What a device is, as far as replicas differ.
struct DeviceKind {
  std::int32_t spec = 0;  ///< into Cluster::specs()
  double slowdown = 1;    ///< of its compute
  friend auto operator<=>(const DeviceKind&, const DeviceKind&) = default;
};

/// The kinds of devices of a task's cluster, each once, in order.
/// @throws Error(invalid_argument) as check_slow()
std::vector<DeviceKind> device_kinds(const Task& task);

/// Whether the first `devices` are of one kind, and none of them slow.
bool are_alike(const Task& task, int devices);

/// By stage: of the devices that share a replica's stage, the slowest at the task's precision.
using Replica = std::vector<DeviceKind>;

/// The replicas of a strategy that differ, in order.
std::vector<Replica> distinct_replicas(const Task& task, const Strategy& strategy);

}  // namespace foreplan
