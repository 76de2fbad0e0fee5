#pragma once

#include <cstdint>
#include <vector>

#include "profiler/activity.hpp"

namespace foreplan {

/// Records what GPUs do. CUPTI's lies in profiler/cupti; tests have one of their own.
class ActivitySession {
 public:
  virtual ~ActivitySession() = default;
  /// What this thread calls until `pop` carries the number `external` > 0.
  virtual void push(std::uint64_t external) = 0;
  virtual void pop() = 0;
  /// All that was recorded since the last collection, in any order; the GPUs are idle.
  /// @throws Error(failed) if records were dropped
  virtual std::vector<Activity> collect() = 0;
};

}  // namespace foreplan
