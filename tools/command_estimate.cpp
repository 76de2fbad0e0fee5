#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "planner/plan_io.hpp"
#include "sim/json_reader.hpp"
#include "sim/timeline_io.hpp"
#include "tools/commands.hpp"
#include "tools/estimate_text.hpp"
#include "tools/forecast.hpp"
#include "tools/resources.hpp"

namespace foreplan {
void run_estimate(const EstimateCommand& command, std::ostream& out) {
  const OpGraph model = load_model(command.model);
  const Cluster cluster = load_cluster(command.cluster);
  const std::unique_ptr<CostModel> costs = load_costs(command.profile);
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = *costs,
                  .global_batch = command.global_batch,
                  .optimizer = optimizer_named(command.optimizer)};
  const Forecast result = forecast(task, parse_strategy(command.strategy));
  if (!command.trace.empty()) {
    write_file(command.trace, to_trace(result.graph, result.timeline));
  }
  if (!command.output.empty()) {
    write_file(command.output, to_json(as_measurement(task, result)));
  }
  if (command.json) {
    out << to_json(result.estimate).dump(2) << "\n";
  } else {
    out << describe(result.estimate, task.global_batch);
  }
}

}  // namespace foreplan
