#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "planner/plan_io.hpp"
#include "sim/json_reader.hpp"
#include "sim/measurement_io.hpp"
#include "sim/timeline_io.hpp"
#include "tools/commands.hpp"
#include "tools/estimate_text.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

/// A forecast in the form of a measurement, for `foreplan compare`.
Measurement as_measurement(const Task& task, const Estimate& estimate, const TaskGraph& graph,
                           const Timeline& timeline) {
  return {.model = task.model.name(),
          .strategy = format(estimate.strategy),
          .backend = "forecast",
          .device = task.cluster.device(DeviceId{0}).name,
          .global_batch = task.global_batch,
          .steps = 1,
          .step_time = summarise({estimate.step_time}, 0),
          .tasks = measured_tasks(graph, timeline),
          .losses = {}};
}

}  // namespace

void run_estimate(const EstimateCommand& command, std::ostream& out) {
  const OpGraph model = load_model(command.model);
  const Cluster cluster = load_cluster(command.cluster);
  const std::unique_ptr<CostModel> costs = load_costs(command.profile);
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = *costs,
                  .global_batch = command.global_batch,
                  .optimizer = optimizer_named(command.optimizer)};
  const Strategy strategy = complete(task, parse_strategy(command.strategy));
  const TaskGraph graph = lower(model, strategy, task.global_batch, lowering_options(task));
  const Timeline timeline = simulate(graph, cost(graph, cluster, *costs), cluster).timeline;
  const Estimate estimate = summarise(task, strategy, graph, timeline);
  if (!command.trace.empty()) write_file(command.trace, to_trace(graph, timeline));
  if (!command.output.empty()) {
    write_file(command.output, to_json(as_measurement(task, estimate, graph, timeline)));
  }
  if (command.json) {
    out << to_json(estimate).dump(2) << "\n";
  } else {
    out << describe(estimate, task.global_batch);
  }
}

}  // namespace foreplan
