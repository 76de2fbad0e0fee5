#include "runtime/cuda/step_clock.hpp"

#include <algorithm>
#include <utility>

#include "runtime/cuda/check.hpp"

namespace foreplan {
namespace {

Duration between(const EventHandle& zero, const EventHandle& event) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, zero.get(), event.get()), "cudaEventElapsedTime");
  return duration_from_seconds(static_cast<double>(milliseconds) * 1e-3);
}

}  // namespace

StepClock::StepClock(const std::vector<int>& gpus, bool captured) : captured_(captured) {
  for (const int gpu : gpus) {
    const CurrentGpu current(gpu);
    zeros_.push_back({.gpu = gpu, .stream = make_stream(), .event = make_event(true)});
  }
}

void StepClock::begin_step() {
  for (const Zero& zero : zeros_) {
    const CurrentGpu current(zero.gpu);
    check(cudaEventRecord(zero.event.get(), zero.stream.get()), "cudaEventRecord");
  }
  for (const Zero& zero : zeros_) {
    check(cudaStreamSynchronize(zero.stream.get()), "cudaStreamSynchronize");
  }
}

void StepClock::begin_task(TaskId task, std::size_t gpu, cudaStream_t stream) {
  if (index(task) >= tasks_.size()) tasks_.resize(index(task) + 1);
  Pair& pair = tasks_[index(task)];
  if (!pair.begin) pair = {.gpu = gpu, .begin = make_event(true), .end = make_event(true)};
  check(cudaEventRecordWithFlags(pair.begin.get(), stream,
                                 captured_ ? cudaEventRecordExternal : cudaEventRecordDefault),
        "cudaEventRecordWithFlags");
}

void StepClock::end_task(TaskId task, cudaStream_t stream) {
  check(cudaEventRecordWithFlags(tasks_[index(task)].end.get(), stream,
                                 captured_ ? cudaEventRecordExternal : cudaEventRecordDefault),
        "cudaEventRecordWithFlags");
}

Timeline StepClock::read(std::size_t tasks) const {
  Timeline timeline;
  timeline.start.resize(tasks);
  timeline.finish.resize(tasks);
  Duration first = Duration::max();
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const Pair& pair = tasks_[i];
    if (!pair.begin) continue;
    const EventHandle& zero = zeros_[pair.gpu].event;
    timeline.start[i] = between(zero, pair.begin);
    timeline.finish[i] = between(zero, pair.end);
    first = std::min(first, timeline.start[i]);
  }
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (!tasks_[i].begin) continue;
    timeline.start[i] -= first;
    timeline.finish[i] -= first;
  }
  return timeline;
}

}  // namespace foreplan
