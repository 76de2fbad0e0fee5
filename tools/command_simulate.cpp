#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "models/op_cost.hpp"
#include "sim/json_reader.hpp"
#include "sim/simulate.hpp"
#include "sim/task_graph_io.hpp"
#include "sim/timeline_io.hpp"
#include "tools/commands.hpp"
#include "tools/outputs.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

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

void print_json(const TaskGraphFile& file, const Cluster& cluster, const SimulationResult& result,
                std::ostream& out) {
  Json json{{"makespan_s", seconds(makespan(result.timeline))}, {"tasks", Json::array()}};
  for (const FileTaskTime& task : file_times(file, result.timeline)) {
    json["tasks"].push_back(
        {{"id", task.id}, {"start_s", seconds(task.start)}, {"finish_s", seconds(task.finish)}});
  }
  json["links"] = links_json(cluster, result);
  out << json.dump(2) << "\n";
}

void print_table(const TaskGraphFile& file, const SimulationResult& result, std::ostream& out) {
  out << fmt::format("makespan {}\n\n", format(makespan(result.timeline)));
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
  out << devices.text() << "\n" << tasks.text();
}

}  // namespace

void run_simulate(const SimulateCommand& command, std::ostream& out) {
  const Cluster cluster = load_cluster(command.cluster);
  const TaskGraphFile file = read_task_graph(
      command.graph, [](OpKey key) { return make_op(std::move(key)); },
      [&](std::span<const DeviceId> group) { return placement_of(cluster, group); });
  const std::unique_ptr<CostModel> costs = load_costs(command.profile);
  const SimulationResult result = at_place(command.graph, [&] {
    return simulate(file.graph, cost(file.graph, cluster, *costs), cluster);
  });
  if (!command.trace.empty()) write_file(command.trace, to_trace(file.graph, result.timeline));
  if (command.json) return print_json(file, cluster, result, out);
  print_table(file, result, out);
}

}  // namespace foreplan
