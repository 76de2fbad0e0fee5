#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "planner/folded_step.hpp"
#include "planner/search.hpp"
#include "planner/worker_pool.hpp"

namespace foreplan {

/// A strategy to simulate, complete.
struct LeafJob {
  Strategy strategy;
  std::shared_ptr<const UnitTable> units;  ///< lowered and priced; null where is_apart()
};

/// What came of it.
struct LeafResult {
  bool feasible = false;
  Duration step_time{};  ///< of what fits
  Bytes peak{};
};

/// Simulates strategies of one task, several at a time. What they share (units, drawn pipelines) is made
/// once.
class LeafRunner {
 public:
  LeafRunner(const Task& task, std::shared_ptr<const UnitChain> chain, int threads);

  /// In the order of the jobs.
  std::vector<LeafResult> run(const std::vector<LeafJob>& jobs);
  /// The whole forecast of one.
  Estimate estimate(const LeafJob& job);
  /// Other work for the threads: job(i) for every i < count.
  WorkerPool& workers() { return workers_; }

 private:
  LeafResult simulate(const LeafJob& job, FoldedStep::Workspace& workspace);
  SharedParts parts(const LeafJob& job);

  const Task& task_;
  std::shared_ptr<const UnitChain> chain_;
  Flops sample_flops_;
  WorkerPool workers_;
  std::vector<FoldedStep::Workspace> workspaces_;  ///< by worker
  std::mutex mutex_;
  std::map<std::tuple<Schedule, int, int, int>, std::shared_ptr<const PipelineEvaluator>>
      pipelines_;
};

}  // namespace foreplan
