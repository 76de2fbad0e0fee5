#include "tools/forecast.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "planner/branch_step.hpp"
#include "planner/folded_step.hpp"
#include "planner/layer_split.hpp"
#include "planner/plan_io.hpp"
#include "planner/scattered_step.hpp"
#include "sim/json_reader.hpp"
#include "tools/commands.hpp"
#include "tools/outputs.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

Measurement forecast_of(const PlanToRun& plan) {
  const OpGraph model = load_model(plan.request.model);
  const Cluster cluster = load_cluster(plan.request.cluster);
  const std::unique_ptr<CostModel> costs = load_costs(plan.request.profile);
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = *costs,
                  .global_batch = plan.request.global_batch,
                  .optimizer = plan.request.optimizer};
  return as_measurement(task, forecast(task, plan.strategy));
}

Forecast replayed(Estimate estimate, FoldedGraph folded) {
  Timeline timeline = replay(folded.graph, folded.costs);
  const int replicas = estimate.strategy.dp;
  return {.estimate = std::move(estimate),
          .graph = std::move(folded.graph),
          .costs = std::move(folded.costs),
          .timeline = std::move(timeline),
          .replicas = replicas};
}

Forecast folded_forecast(const Task& task, const Strategy& strategy) {
  if (strategy.replication == Replication::dataparallel) {
    const ScatteredStep step(task, strategy);
    Forecast result = replayed(step.estimate(), step.graph());
    result.replicas = 1;  // device 0 waits for all in every part
    return result;
  }
  if (strategy.split_from != 0) {
    const LayerSplit step(task, strategy);
    Forecast result = replayed(step.estimate(), step.graph());
    result.replicas = 1;  // behind the border all wait for all
    return result;
  }
  if (strategy.bp > 1) {
    const BranchStep step(task, strategy);
    return replayed(step.estimate(), step.graph());
  }
  const FoldedStep step(task, strategy);
  Estimate estimate = step.estimate(task.costs);
  std::vector<StageMemory>& stages = estimate.stages;
  const auto fullest =
      std::max_element(stages.begin(), stages.end(),
                       [](const StageMemory& a, const StageMemory& b) { return a.peak < b.peak; });
  fullest->reserved = step.allocator_stats(fullest->stage).peak_reserved;
  return replayed(std::move(estimate), step.graph(task.costs));
}

}  // namespace

Forecast forecast(const Task& task, const Strategy& strategy) {
  if (!is_lowered(task, strategy)) return folded_forecast(task, strategy);
  const Strategy whole = complete(task, strategy);
  Forecast result;
  result.graph = lower(task.model, whole, task.global_batch, lowering_options(task));
  result.costs = cost(result.graph, task.cluster, task.costs);
  result.timeline = simulate(result.graph, result.costs, task.cluster).timeline;
  result.estimate = summarise(task, whole, result.graph, result.timeline);
  add_reserved(result.graph, result.timeline, result.estimate);
  return result;
}

Measurement as_measurement(const Task& task, const Forecast& forecast) {
  return {.model = task.model.name(),
          .strategy = format(forecast.estimate.strategy),
          .backend = "forecast",
          .device = task.cluster.device(DeviceId{0}).name,
          .global_batch = task.global_batch,
          .steps = 1,
          .step_time = summarise({forecast.estimate.step_time}, 0),
          .tasks = measured_tasks(forecast.graph, forecast.timeline),
          .losses = {}};
}

Measurement read_timeline(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  const JsonValue schema = document.value().object().required("schema");
  if (schema.text() == "foreplan.plan/1") {
    const PlanToRun plan = read_plan(path);
    return at_place(path.string(), [&] { return forecast_of(plan); });
  }
  if (schema.text() == "foreplan.measurement/1") return read_measurement(path);
  schema.expected("\"foreplan.measurement/1\" or \"foreplan.plan/1\"");
}

}  // namespace foreplan
