#include "tools/mean_timeline.hpp"

#include <algorithm>

namespace foreplan {

void MeanTimeline::add(const MeasuredStep& step) {
  const Timeline& timeline = step.timeline;
  start_sum_.resize(timeline.start.size());
  finish_sum_.resize(timeline.finish.size());
  for (std::size_t i = 0; i < timeline.start.size(); ++i) {
    start_sum_[i] += timeline.start[i];
    finish_sum_[i] += timeline.finish[i];
  }
  const bool disturbed =
      std::find(step.disturbed.begin(), step.disturbed.end(), true) != step.disturbed.end();
  steps_.add(makespan(timeline), disturbed);
  ++count_;
}

Timeline MeanTimeline::timeline() const {
  Timeline mean{.start = start_sum_, .finish = finish_sum_};
  for (Duration& instant : mean.start) instant /= count_;
  for (Duration& instant : mean.finish) instant /= count_;
  return mean;
}

}  // namespace foreplan
