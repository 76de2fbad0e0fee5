#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "sim/error.hpp"
#include "tools/commands.hpp"
#include "tools/comparison.hpp"
#include "tools/forecast.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

std::string percent(double ratio) { return fmt::format("{:+.1f}", 100 * ratio); }

void print_json(const Comparison& comparison, std::ostream& out) {
  Json json{{"forecast_s", seconds(comparison.forecast)},
            {"measured_s", seconds(comparison.measured)},
            {"error", comparison.error()},
            {"tasks", Json::array()}};
  for (const TaskDifference& task : comparison.tasks) {
    json["tasks"].push_back({{"id", task.id},
                             {"device", static_cast<int>(task.device)},
                             {"forecast_s", seconds(task.forecast)},
                             {"measured_s", seconds(task.measured)},
                             {"forecast_start_s", seconds(task.forecast_start)},
                             {"measured_start_s", seconds(task.measured_start)}});
  }
  out << json.dump(2) << "\n";
}

void print_table(const Comparison& comparison, std::size_t top, std::ostream& out) {
  out << fmt::format("step: forecast {}, measured {}, error {} %\n\n", format(comparison.forecast),
                     format(comparison.measured), percent(comparison.error()));
  TextTable kinds({"kind of task", "tasks", "forecast", "measured", "error %"});
  for (const KindDifference& kind : comparison.kinds) {
    kinds.add({kind.kind, fmt::format("{}", kind.tasks), format(kind.forecast),
               format(kind.measured),
               percent(kind.measured > Duration::zero()
                           ? seconds(kind.forecast) / seconds(kind.measured) - 1
                           : 0)});
  }
  out << kinds.text() << "\nlargest differences in a task's own time:\n";
  TextTable tasks({"task", "device", "forecast", "measured", "starts forecast", "measured start"});
  for (std::size_t i = 0; i < std::min(top, comparison.tasks.size()); ++i) {
    const TaskDifference& task = comparison.tasks[i];
    tasks.add({task.id, fmt::format("{}", static_cast<int>(task.device)), format(task.forecast),
               format(task.measured), format(task.forecast_start), format(task.measured_start)});
  }
  out << tasks.text();
}

}  // namespace

void run_compare(const CompareCommand& command, std::ostream& out) {
  const Measurement forecast = read_timeline(command.forecast);
  const Measurement measured = read_timeline(command.measured);
  const Comparison comparison = compare(forecast, measured);
  if (command.json) return print_json(comparison, out);
  print_table(comparison, static_cast<std::size_t>(command.top), out);
}

}  // namespace foreplan
