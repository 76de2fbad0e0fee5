#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "models/op_cost.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/perturbation.hpp"
#include "sim/simulate.hpp"
#include "sim/task_graph_io.hpp"
#include "sim/timeline_io.hpp"
#include "tools/commands.hpp"
#include "tools/disturbance.hpp"
#include "tools/outputs.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// What is printed.
struct Simulated {
  SimulationResult result;
  std::optional<MakespanSample> sample;  ///< with jitter
};

Simulated simulate_as_told(const SimulateCommand& command, const TaskGraph& graph,
                           const Cluster& cluster) {
  const std::unique_ptr<CostModel> model = load_costs(command.profile);
  Costs costs = at_place(command.graph, [&] { return cost(graph, cluster, *model); });
  const Disturbance& told = command.disturbance;
  for (const std::string& slow : told.slow) slow_down(costs, graph, slow_device(slow));
  return at_place(command.graph, [&] {
    Simulated simulated{simulate(graph, costs, cluster), {}};
    if (told.jitter > 0) {
      simulated.sample = simulate_jitter(graph, costs, cluster, told.chance(), told.runs);
    }
    return simulated;
  });
}

Json links_json(const Cluster& cluster, const SimulationResult& result) {
  Json links = Json::array();
  for (std::size_t i = 0; i < result.links.size(); ++i) {
    const Link& link = cluster.links()[i];
    links.push_back({{"from", cluster.vertices()[index(link.from)].id},
                     {"to", cluster.vertices()[index(link.to)].id},
                     {"busy_s", seconds(result.links[i].busy)},
                     {"bytes", result.links[i].bytes.count}});
  }
  return links;
}

Json simulated_json(const TaskGraphFile& file, const Cluster& cluster,
                    const SimulationResult& result) {
  Json json{{"makespan_s", seconds(makespan(result.timeline))}, {"tasks", Json::array()}};
  for (const FileTaskTime& task : file_times(file, result.timeline)) {
    json["tasks"].push_back(
        {{"id", task.id}, {"start_s", seconds(task.start)}, {"finish_s", seconds(task.finish)}});
  }
  json["links"] = links_json(cluster, result);
  return json;
}

void print_tables(const TaskGraphFile& file, const SimulationResult& result, std::ostream& out) {
  TextTable devices({"device", "compute", "optimizer", "exposed communication", "idle"});
  int device = 0;
  for (const DeviceTime& time : device_times(file.graph, result.timeline)) {
    devices.add({fmt::format("{}", device++), format(time.compute), format(time.optimizer),
                 format(time.exposed_communication), format(time.idle)});
  }
  TextTable tasks({"task", "start", "finish"});
  for (const FileTaskTime& task : file_times(file, result.timeline)) {
    tasks.add({task.id, format(task.start), format(task.finish)});
  }
  out << "\n" << devices.text() << "\n" << tasks.text();
}

}  // namespace

void run_simulate(const SimulateCommand& command, std::ostream& out) {
  const Cluster cluster = load_cluster(command.cluster);
  const TaskGraphFile file = read_task_graph(
      command.graph, [](OpKey key) { return make_op(std::move(key)); },
      [&](std::span<const DeviceId> group) { return placement_of(cluster, group); });
  const Simulated simulated = simulate_as_told(command, file.graph, cluster);
  const SimulationResult& result = simulated.result;
  if (!command.trace.empty()) write_file(command.trace, to_trace(file.graph, result.timeline));
  if (command.json) {
    Json json = simulated_json(file, cluster, result);
    if (simulated.sample) json["jitter"] = jitter_json(command.disturbance, *simulated.sample);
    out << json.dump(2) << "\n";
    return;
  }
  out << fmt::format("makespan {}\n", format(makespan(result.timeline)));
  if (simulated.sample) out << jitter_text(command.disturbance, *simulated.sample);
  print_tables(file, result, out);
}

}  // namespace foreplan
