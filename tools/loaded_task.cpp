#include "tools/loaded_task.hpp"

#include <fmt/format.h>

#include <optional>

#include "models/number_formats.hpp"
#include "sim/error.hpp"
#include "tools/commands.hpp"
#include "tools/model_text.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

SequenceLengths lengths_of(const TaskOptions& options, const OpGraph& model) {
  const Positions& rows = model.input_positions();
  if (rows.source + rows.target == 0) {
    if (options.sequence != 0) reject(fmt::format("--seq: {} reads no tokens", model.name()));
    return {};
  }
  if (options.sequence == 0 && options.usual_sequence) return lengths_to_show(model, 0);
  if (options.sequence == 0) {
    reject(fmt::format("--seq: {} reads tokens: expected how many a sample has", model.name()));
  }
  const std::int64_t target = options.target_sequence;
  return {.source = options.sequence, .target = target != 0 ? target : options.sequence};
}

DType precision_of(const TaskOptions& options, const OpGraph& model, const Cluster& cluster) {
  if (options.precision != "auto") {
    if (const auto precision = dtype_named(options.precision)) return *precision;
    reject(fmt::format("--precision: expected auto, fp32, tf32, fp16, bf16 or fp8, got '{}'",
                       options.precision));
  }
  if (is_executable(model)) return DType::fp32;
  const auto& peak = cluster.device(DeviceId{0}).peak;
  for (const DType precision : {DType::bf16, DType::fp16}) {
    if (peak.count(precision) != 0) return precision;
  }
  return DType::fp32;
}

std::optional<CollectiveAlgorithm> collectives_of(const TaskOptions& options) {
  if (options.collectives == "auto") return std::nullopt;
  std::string known = "auto";
  for (int i = 0; i < kCollectiveAlgorithms; ++i) {
    const auto algorithm = static_cast<CollectiveAlgorithm>(i);
    if (options.collectives == name(algorithm)) return algorithm;
    known += fmt::format(", {}", name(algorithm));
  }
  reject(fmt::format("--collectives: expected {}, got '{}'", known, options.collectives));
}

Optimizer optimizer_of(const TaskOptions& options, const OpGraph& model) {
  if (options.optimizer != "auto") return optimizer_named(options.optimizer);
  return is_executable(model) ? Optimizer::sgd : Optimizer::adam;
}

}  // namespace

LoadedTask::LoadedTask(const TaskOptions& options)
    : model_(load_model(options.model)),
      cluster_(load_cluster(options.cluster)),
      costs_(load_costs(options.profile)),
      formats_(formats_of(precision_of(options, model_, cluster_))),
      task_{.model = model_,
            .cluster = cluster_,
            .costs = *costs_,
            .global_batch = options.global_batch,
            .optimizer = optimizer_of(options, model_),
            .lengths = lengths_of(options, model_),
            .precision = formats_.storage,
            .products = formats_.products,
            .stack = load_stack(options.stack),
            .collectives = collectives_of(options)} {}

}  // namespace foreplan
