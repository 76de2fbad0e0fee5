#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/profile.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// A task as it was measured: its mean place in the step.
struct MeasuredTask {
  std::string id;  ///< task_name
  DeviceId device{};
  Duration start{};
  Duration finish{};
  friend bool operator==(const MeasuredTask&, const MeasuredTask&) = default;
};

/// What came out of running a plan: `foreplan.measurement/1`.
struct Measurement {
  std::string model;
  std::string strategy;  ///< as on the command line
  std::string backend;
  std::string device;  ///< name of the machine's devices
  std::int64_t global_batch = 0;
  std::int64_t steps = 0;
  Sample step_time;
  std::vector<MeasuredTask> tasks;  ///< by TaskId
  std::vector<double> losses;       ///< by step; not a number where training diverged
  friend bool operator==(const Measurement&, const Measurement&) = default;
};

/// @throws Error(invalid_argument) naming file and place
Measurement read_measurement(const std::filesystem::path& path);

/// The same as text, to write a measurement.
std::string to_json(const Measurement& measurement);

/// The tasks of a graph as `timeline` has them.
/// @throws Error(invalid_argument) if it has another number of tasks than the graph
std::vector<MeasuredTask> measured_tasks(const TaskGraph& graph, const Timeline& timeline);

/// The timeline of a measurement that was made of `graph`.
/// @throws Error(invalid_argument) naming the first task in which the two differ
Timeline timeline_of(const Measurement& measurement, const TaskGraph& graph);

}  // namespace foreplan
