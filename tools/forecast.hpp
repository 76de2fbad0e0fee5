#pragma once

#include <filesystem>

#include "planner/estimate.hpp"
#include "sim/measurement_io.hpp"

namespace foreplan {

/// A strategy, lowered and simulated.
struct Forecast {
  Estimate estimate;
  TaskGraph graph;
  Costs costs;
  Timeline timeline;
  int replicas = 0;  ///< folded: how many do what the graph's devices do; 0: nothing is folded
};

/// What a caching allocator reserves is told of the stage whose peak is the highest (ties: the first), and of
/// the others too where every device is lowered.
/// @throws Error(invalid_argument) as check(strategy, ...) does
Forecast forecast(const Task& task, const Strategy& strategy);

/// A forecast in the form of a measurement, for `foreplan compare`.
Measurement as_measurement(const Task& task, const Forecast& forecast);

/// The timeline in a file: a measurement's own, or for a plan the one that is forecast for it anew.
/// @throws Error(invalid_argument) naming file and place if it is neither
Measurement read_timeline(const std::filesystem::path& path);

}  // namespace foreplan
