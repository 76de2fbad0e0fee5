#include "planner/pipeline_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/error.hpp"

namespace foreplan {

std::vector<PipelineAction> pipeline_schedule(Schedule schedule, int stages, int stage,
                                              int micro_batches) {
  if (stage < 0 || stage >= stages || micro_batches < 1) {
    reject(
        fmt::format("pipeline: expected a stage of {} and at least one micro-batch, got stage {} "
                    "and {} micro-batches",
                    stages, stage, micro_batches));
  }
  const bool gpipe = schedule == Schedule::gpipe;
  const int warm_up = gpipe ? micro_batches : std::min(micro_batches, stages - stage - 1);
  std::vector<PipelineAction> actions;
  actions.reserve(2 * static_cast<std::size_t>(micro_batches));
  for (int i = 0; i < warm_up; ++i) actions.push_back({.forward = true, .micro_batch = i});
  for (int i = warm_up; i < micro_batches; ++i) {
    actions.push_back({.forward = true, .micro_batch = i});
    actions.push_back({.forward = false, .micro_batch = i - warm_up});
  }
  for (int i = micro_batches - warm_up; i < micro_batches; ++i) {
    actions.push_back({.forward = false, .micro_batch = i});
  }
  return actions;
}

}  // namespace foreplan
