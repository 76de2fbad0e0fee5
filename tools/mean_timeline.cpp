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
}

Timeline MeanTimeline::timeline() const {
  Timeline mean{.start = start_sum_, .finish = finish_sum_};
  const auto count = static_cast<std::int64_t>(steps_.values.size());
  for (Duration& instant : mean.start) instant /= count;
  for (Duration& instant : mean.finish) instant /= count;
  return mean;
}

}  // namespace foreplan
