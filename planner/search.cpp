#include "planner/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/best_first.hpp"
#include "sim/error.hpp"

namespace foreplan {

bool plans_to_run(const Task& task, int devices) {
  return is_executable(task.model) && task.precision == DType::fp32 && task.slow.empty() &&
         !task.collectives && devices <= kMostLoweredDevices;
}

Plan plan(const Task& task, const SearchOptions& options) {
  if (!(options.gap >= 0)) {
    reject(fmt::format("gap: expected a number >= 0, got {}", options.gap));
  }
  const int all = task.cluster.devices();
  const int devices = options.devices == 0 ? all : std::min(options.devices, all);
  return plans_to_run(task, devices) ? search_runnable(task, options, devices)
                                     : best_first(task, options, devices);
}

}  // namespace foreplan
