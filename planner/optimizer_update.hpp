#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/estimate.hpp"

namespace foreplan {

/// What the optimizer does to `own` parameters of a rank: the square of their gradients summed, where these
/// are clipped, the update, and casts of the `fp8` weights that its products read as fp8.
std::vector<Op> update_ops(const Task& task, std::int64_t own, std::int64_t fp8);

/// The ops one behind the other, each with its launch.
Duration update_time(std::span<const Op> ops, const CostModel& costs, const DeviceSpec& spec);

/// State that the optimizer keeps of a parameter, fp32 master weights included [B].
std::int64_t state_bytes(const Task& task);

/// How many parameters' state a rank that offloads it keeps: two buckets' worth, one at work and one on its
/// way.
std::int64_t state_at_work(const Task& task);

}  // namespace foreplan
