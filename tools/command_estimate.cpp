#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "planner/plan_io.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/timeline_io.hpp"
#include "tools/commands.hpp"
#include "tools/estimate_text.hpp"
#include "tools/forecast.hpp"
#include "tools/loaded_task.hpp"
#include "tools/peak_text.hpp"

namespace foreplan {
namespace {

/// @throws Error(invalid_argument) unless the cluster has the device
std::pair<DeviceId, double> checked_slow(const std::string& text, const Cluster& cluster) {
  const SlowDevice slow = slow_device(text);
  const auto number = static_cast<std::int32_t>(slow.device);
  if (number < 0 || number >= cluster.devices()) {
    reject(fmt::format("--slow: expected a device from 0 to {}, got {}", cluster.devices() - 1,
                       number));
  }
  if (!(slow.factor > 0 && slow.factor < 1e6)) {
    reject(fmt::format("--slow: expected a factor above 0 and below 1e6, got {}", slow.factor));
  }
  return {slow.device, slow.factor};
}

std::optional<MakespanSample> with_jitter(const Disturbance& told, const Forecast& forecast,
                                          const Cluster& cluster) {
  if (told.jitter <= 0) return std::nullopt;
  if (forecast.replicas == 0) {
    return simulate_jitter(forecast.graph, forecast.costs, cluster, told.chance(), told.runs);
  }
  return replicated_jitter(forecast.graph, forecast.costs, told, forecast.replicas);
}

}  // namespace

void run_estimate(const EstimateCommand& command, std::ostream& out) {
  LoadedTask loaded(command.task);
  Task& task = loaded.task();
  for (const std::string& slow : command.disturbance.slow) {
    task.slow.push_back(checked_slow(slow, task.cluster));
  }
  const Forecast result = forecast(task, parse_strategy(command.strategy));
  if (!command.trace.empty()) {
    write_file(command.trace, to_trace(result.graph, result.timeline));
  }
  if (!command.output.empty()) {
    write_file(command.output, to_json(as_measurement(task, result)));
  }
  const std::optional<MakespanSample> sample =
      with_jitter(command.disturbance, result, task.cluster);
  if (command.json) {
    nlohmann::ordered_json json = to_json(result.estimate);
    if (sample) json["jitter"] = jitter_json(command.disturbance, *sample);
    out << json.dump(2) << "\n";
    return;
  }
  out << describe(result.estimate, task.global_batch) << "\n" << describe_peak(result);
  if (sample) out << "\n" << jitter_text(command.disturbance, *sample);
}

}  // namespace foreplan
