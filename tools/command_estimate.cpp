#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
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
#include "tools/peak_text.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

SequenceLengths lengths_of(const EstimateCommand& command, const OpGraph& model) {
  const Positions& rows = model.input_positions();
  if (rows.source + rows.target == 0) {
    if (command.sequence != 0) reject(fmt::format("--seq: {} reads no tokens", model.name()));
    return {};
  }
  if (command.sequence == 0) {
    reject(fmt::format("--seq: {} reads tokens: expected how many a sample has", model.name()));
  }
  const std::int64_t target = command.target_sequence;
  return {.source = command.sequence, .target = target != 0 ? target : command.sequence};
}

DType precision_of(const EstimateCommand& command, const OpGraph& model, const Cluster& cluster) {
  if (command.precision != "auto") {
    if (const auto precision = dtype_named(command.precision)) return *precision;
    reject(fmt::format("--precision: expected auto, fp32, tf32, fp16, bf16 or fp8, got '{}'",
                       command.precision));
  }
  if (is_executable(model)) return DType::fp32;
  const auto& peak = cluster.device(DeviceId{0}).peak;
  for (const DType precision : {DType::bf16, DType::fp16}) {
    if (peak.count(precision) != 0) return precision;
  }
  return DType::fp32;
}

Optimizer optimizer_of(const EstimateCommand& command, const OpGraph& model) {
  if (command.optimizer != "auto") return optimizer_named(command.optimizer);
  return is_executable(model) ? Optimizer::sgd : Optimizer::adam;
}

/// "3:1.3"
std::pair<DeviceId, double> slow_device(const std::string& text, const Cluster& cluster) {
  const char* const end = text.data() + text.size();
  int device = -1;
  const auto [colon, error] = std::from_chars(text.data(), end, device);
  double factor = 0;
  const bool pair = error == std::errc{} && colon != end && *colon == ':';
  const auto rest =
      pair ? std::from_chars(colon + 1, end, factor) : std::from_chars_result{end, {}};
  if (!pair || rest.ec != std::errc{} || rest.ptr != end || !(factor > 0) || factor > 1e6) {
    reject(fmt::format("--slow: expected DEVICE:FACTOR such as 3:1.3, got '{}'", text));
  }
  if (device < 0 || device >= cluster.devices()) {
    reject(fmt::format("--slow: expected a device from 0 to {}, got {}", cluster.devices() - 1,
                       device));
  }
  return {DeviceId{device}, factor};
}

}  // namespace

void run_estimate(const EstimateCommand& command, std::ostream& out) {
  const OpGraph model = load_model(command.model);
  const Cluster cluster = load_cluster(command.cluster);
  const std::unique_ptr<CostModel> costs = load_costs(command.profile);
  Task task{.model = model,
            .cluster = cluster,
            .costs = *costs,
            .global_batch = command.global_batch,
            .optimizer = optimizer_of(command, model),
            .lengths = lengths_of(command, model),
            .precision = precision_of(command, model, cluster)};
  for (const std::string& slow : command.slow) task.slow.push_back(slow_device(slow, cluster));
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
    out << describe(result.estimate, task.global_batch) << "\n" << describe_peak(result);
  }
}

}  // namespace foreplan
