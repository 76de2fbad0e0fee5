#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "models/number_formats.hpp"
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

std::optional<CollectiveAlgorithm> collectives_of(const EstimateCommand& command) {
  if (command.collectives == "auto") return std::nullopt;
  std::string known = "auto";
  for (int i = 0; i < kCollectiveAlgorithms; ++i) {
    const auto algorithm = static_cast<CollectiveAlgorithm>(i);
    if (command.collectives == name(algorithm)) return algorithm;
    known += fmt::format(", {}", name(algorithm));
  }
  reject(fmt::format("--collectives: expected {}, got '{}'", known, command.collectives));
}

Optimizer optimizer_of(const EstimateCommand& command, const OpGraph& model) {
  if (command.optimizer != "auto") return optimizer_named(command.optimizer);
  return is_executable(model) ? Optimizer::sgd : Optimizer::adam;
}

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
  const OpGraph model = load_model(command.model);
  const Cluster cluster = load_cluster(command.cluster);
  const std::unique_ptr<CostModel> costs = load_costs(command.profile);
  const NumberFormats formats = formats_of(precision_of(command, model, cluster));
  Task task{.model = model,
            .cluster = cluster,
            .costs = *costs,
            .global_batch = command.global_batch,
            .optimizer = optimizer_of(command, model),
            .lengths = lengths_of(command, model),
            .precision = formats.storage,
            .products = formats.products,
            .stack = load_stack(command.stack),
            .collectives = collectives_of(command)};
  for (const std::string& slow : command.disturbance.slow) {
    task.slow.push_back(checked_slow(slow, cluster));
  }
  const Forecast result = forecast(task, parse_strategy(command.strategy));
  if (!command.trace.empty()) {
    write_file(command.trace, to_trace(result.graph, result.timeline));
  }
  if (!command.output.empty()) {
    write_file(command.output, to_json(as_measurement(task, result)));
  }
  const std::optional<MakespanSample> sample = with_jitter(command.disturbance, result, cluster);
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
