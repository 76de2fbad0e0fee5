#pragma once

#include <string>
#include <vector>

#include "sim/measurement_io.hpp"

namespace foreplan {

/// One task in two timelines.
struct TaskDifference {
  std::string id;
  DeviceId device{};
  Duration forecast{}, measured{};              ///< its own time
  Duration forecast_start{}, measured_start{};  ///< in the step
};

/// All tasks of one op or kind of copy together.
struct KindDifference {
  std::string kind;  ///< a task's id without layer and micro-batch: "linear.forward"
  std::int64_t tasks = 0;
  Duration forecast{}, measured{};
};

/// Two timelines of one graph, laid over each other.
struct Comparison {
  Duration forecast{}, measured{};      ///< step time
  std::vector<TaskDifference> tasks{};  ///< largest difference of own time first, then by place
  std::vector<KindDifference> kinds{};  ///< largest difference first, then by name
  double error() const;                 ///< forecast / measured - 1; 0 where nothing was measured
};

/// @throws Error(invalid_argument) naming the first task in which the two are not of one graph
Comparison compare(const Measurement& forecast, const Measurement& measured);

}  // namespace foreplan
