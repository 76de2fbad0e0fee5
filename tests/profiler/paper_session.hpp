#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "profiler/session.hpp"

namespace foreplan {

/// A session whose steps are worked out by a function, on paper.
class PaperSession final : public Session {
 public:
  using Step = std::function<MeasuredStep(const TaskGraph&)>;
  PaperSession(int devices, Step work) : devices_(devices), work_(std::move(work)) {}

  int devices() const override { return devices_; }
  std::size_t load(const TaskGraph& graph) override {
    graphs.push_back(graph);
    return graphs.size() - 1;
  }
  void unload(std::size_t loaded) override { unloaded.push_back(loaded); }
  MeasuredStep step(std::size_t loaded) override { return work_(graphs.at(loaded)); }
  bool issues_ahead() const override { return ahead; }
  std::string choice(std::size_t, TaskId) const override { return chosen; }
  std::string path(DeviceId source, DeviceId destination) const override {
    return source == destination ? "same_gpu" : "peer";
  }

  bool ahead = false;
  std::string chosen;
  std::vector<TaskGraph> graphs;
  std::vector<std::size_t> unloaded;

 private:
  int devices_;
  Step work_;
};

/// Runs streams side by side, each task for the time that `time` tells, with nothing in between.
inline MeasuredStep run_streams(const TaskGraph& graph,
                                const std::function<Duration(std::size_t task)>& time) {
  std::map<std::pair<DeviceId, StreamId>, Duration> free;
  MeasuredStep step;
  step.timeline.start.resize(graph.size());
  step.timeline.finish.resize(graph.size());
  for (const TaskId task : graph.order) {
    const std::size_t t = index(task);
    Duration& ready = free[{graph.device[t], graph.stream[t]}];
    for (const TaskId before : graph.after[t]) {
      ready = std::max(ready, step.timeline.finish[index(before)]);
    }
    step.timeline.start[t] = ready;
    step.timeline.finish[t] = ready += time(t);
  }
  return step;
}

}  // namespace foreplan
