#pragma once

#include <vector>

#include "profiler/samples.hpp"
#include "sim/profile.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// The mean of measured steps of one graph.
class MeanTimeline {
 public:
  void add(const MeasuredStep& step);
  /// The makespans.
  Sample step_time() const { return steps_.summary(); }
  /// Of each task the mean start and finish; empty before the first step.
  Timeline timeline() const;

 private:
  SampleList steps_;
  std::int64_t count_ = 0;
  std::vector<Duration> start_sum_, finish_sum_;
};

}  // namespace foreplan
