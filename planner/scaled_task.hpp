#pragma once

#include <memory>

#include "planner/estimate.hpp"

namespace foreplan {

/// How many times as much of something devices have.
struct Scaling {
  double bandwidth = 1;  ///< of links, also of those to the host
  double memory = 1;     ///< of devices
  double compute = 1;    ///< every op takes so much less; not its launch
};

/// A cluster with more, or less, of something: same devices, same links, same latencies.
/// @throws Error(invalid_argument) unless every factor is > 0 and finite
Cluster scaled(const Cluster& cluster, const Scaling& scaling);

/// A task on such a cluster. The one that it was made of must outlive it.
class ScaledTask {
 public:
  ScaledTask(const Task& task, const Scaling& scaling);
  ScaledTask(const ScaledTask&) = delete;
  ScaledTask& operator=(const ScaledTask&) = delete;

  const Task& task() const { return task_; }

 private:
  Cluster cluster_;
  std::unique_ptr<CostModel> costs_;
  Task task_;
};

}  // namespace foreplan
