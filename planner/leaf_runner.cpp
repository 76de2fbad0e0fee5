#include "planner/leaf_runner.hpp"

#include <exception>

namespace foreplan {

LeafRunner::LeafRunner(const Task& task, std::shared_ptr<const UnitChain> chain, int threads)
    : task_(task),
      chain_(std::move(chain)),
      sample_flops_(flops_of_sample(task)),
      workers_(threads),
      workspaces_(workers_.threads()) {}

SharedParts LeafRunner::parts(const LeafJob& job) {
  const PipelineShape shape = folded_shape(task_, job.strategy);
  const auto key = std::tuple(shape.schedule, shape.stages, shape.chunks, shape.micro_batches);
  SharedParts parts{
      .chain = chain_, .units = job.units, .pipeline = {}, .sample_flops = sample_flops_};
  {
    const std::lock_guard lock(mutex_);
    const auto found = pipelines_.find(key);
    if (found != pipelines_.end()) parts.pipeline = found->second;
  }
  if (!parts.pipeline) {
    parts.pipeline = std::make_shared<const PipelineEvaluator>(shape);
    const std::lock_guard lock(mutex_);
    pipelines_.emplace(key, parts.pipeline);
  }
  return parts;
}

LeafResult LeafRunner::simulate(const LeafJob& job, FoldedStep::Workspace& workspace) {
  if (is_apart(job.strategy)) {
    const Estimate found = foreplan::estimate(task_, job.strategy);
    return {found.feasible, found.step_time, found.peak_memory};
  }
  const FoldedStep step(task_, job.strategy, parts(job));
  LeafResult result{.feasible = step.feasible(), .step_time = {}, .peak = step.peak_memory()};
  if (result.feasible) result.step_time = step.estimate(task_.costs, workspace).step_time;
  return result;
}

std::vector<LeafResult> LeafRunner::run(const std::vector<LeafJob>& jobs) {
  std::vector<LeafResult> results(jobs.size());
  std::vector<std::exception_ptr> errors(jobs.size());
  workers_.run(jobs.size(), [&](std::size_t i, std::size_t worker) {
    try {
      results[i] = simulate(jobs[i], workspaces_[worker]);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return results;
}

Estimate LeafRunner::estimate(const LeafJob& job) {
  if (is_apart(job.strategy)) return foreplan::estimate(task_, job.strategy);
  return FoldedStep(task_, job.strategy, parts(job)).estimate(task_.costs, workspaces_.front());
}

}  // namespace foreplan
