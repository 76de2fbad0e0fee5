#pragma once

#include <cstddef>
#include <string>

#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// Something that runs task graphs on devices and says when each task ran.
///
/// The host's is made in tools/ from the runtime's executor, timed by clocks; a GPU's reads CUPTI. The
/// profiler knows neither.
class Session {
 public:
  virtual ~Session() = default;
  virtual int devices() const = 0;
  /// Keeps `graph` ready to run; its number counts from 0. Graphs stay ready side by side, so that
  /// they can be run in turn.
  virtual std::size_t load(const TaskGraph& graph) = 0;
  /// Gives back what a loaded graph holds; its number is not used again.
  virtual void unload(std::size_t) {}
  /// Runs a loaded graph once.
  virtual MeasuredStep step(std::size_t loaded) = 0;

  /// Whether one thread hands out the work of all devices while they are busy: then the gap before a
  /// short task may be that thread's.
  virtual bool issues_ahead() const { return false; }
  /// What a library chose to run for a task of a loaded graph; empty where nobody says.
  virtual std::string choice(std::size_t, TaskId) const { return {}; }
  /// How copies between two devices go: ProfiledCopy::path.
  virtual std::string path(DeviceId, DeviceId) const { return {}; }
};

}  // namespace foreplan
