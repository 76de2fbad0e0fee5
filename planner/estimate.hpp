#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/op_graph.hpp"
#include "models/stack.hpp"
#include "planner/lowering.hpp"
#include "planner/strategy.hpp"
#include "sim/cluster.hpp"
#include "sim/cost_model.hpp"
#include "sim/memory_timeline.hpp"
#include "sim/simulate.hpp"

namespace foreplan {

/// What is asked of the planner, beside the strategy.
struct Task {
  const OpGraph& model;
  const Cluster& cluster;
  const CostModel& costs;
  std::int64_t global_batch = 0;
  Optimizer optimizer = Optimizer::sgd;
  SequenceLengths lengths{};        ///< of the samples, where they have tokens
  DType precision = DType::fp32;    ///< of parameters and activations, as they are stored
  std::optional<DType> products{};  ///< what products multiply (models/number_formats.hpp)
  Stack stack{};
  /// Folded: of all collectives that it can do; empty: each the one that takes least.
  std::optional<CollectiveAlgorithm> collectives{};
  /// Devices whose compute takes so many times as long.
  std::vector<std::pair<DeviceId, double>> slow{};
};

/// What a strategy is short of.
enum class Limit : std::uint8_t { compute, communication, bubble, memory };
std::string_view name(Limit limit);

/// The memory of the fullest device of a stage.
struct StageMemory {
  int stage = 0;
  Bytes peak, parameters, gradients, optimizer, activations, buffers;
  Bytes optimizer_on_host{};  ///< what offload moved there
  /// What a caching allocator holds at most (sim/caching_allocator.hpp), where it was asked for. Neither
  /// CUDA context nor communicators are in it (Stack::context_bytes).
  std::optional<Bytes> reserved{};
};

/// The forecast of one strategy.
struct Estimate {
  Strategy strategy;     ///< complete: micro-batch and layers told
  bool feasible = true;  ///< every device's peak fits in its memory
  Duration step_time{};
  double samples_per_s = 0;
  double tokens_per_s = 0;  ///< 0 where samples have no tokens
  double mfu = 0;        ///< FLOPs of the model over step time, devices and peak; no recomputation
  double hfu = 0;        ///< the same with every FLOP that is executed, optimizer and adds included
  DeviceTime breakdown;  ///< mean over devices; adds up to the step
  Bytes peak_memory;
  std::vector<StageMemory> stages;
  std::int64_t tasks = 0;
  Limit limited_by = Limit::compute;
};

/// What the forecast is short of most.
Limit limit_of(const Estimate& estimate);

/// The share of the peak of the devices in use, in the format of products, that `work` in `step` amounts to.
double utilisation(const Task& task, Flops work, Duration step, int devices);

/// Fills in what a strategy leaves open: the micro-batch, and for pp > 1 the layers of each stage, by
/// the partition whose slowest stage is fastest at this model's costs.
/// @throws Error(invalid_argument) as check(strategy, ...) does
Strategy complete(const Task& task, const Strategy& strategy);

/// The options with which strategies are lowered for this task's devices.
LoweringOptions lowering_options(const Task& task);

/// Whether a forecast lowers every device's tasks, as they run, rather than folding ranks that are
/// alike: for models and strategies that the runtime runs, on few enough devices.
inline constexpr int kMostLoweredDevices = 64;
bool is_lowered(const Task& task, const Strategy& strategy);

/// Whether a strategy has a step of its own kind, not FoldedStep's: PyTorch's DataParallel (ScatteredStep),
/// a split by layers (LayerSplit), branches on devices of their own (BranchStep).
bool is_apart(const Strategy& strategy);

/// Lowers, prices and simulates `strategy`.
/// @throws Error(invalid_argument) as check(strategy, ...) does
Estimate estimate(const Task& task, const Strategy& strategy);

/// The same for a graph already lowered and simulated; `strategy` is complete.
Estimate summarise(const Task& task, const Strategy& strategy, const TaskGraph& graph,
                   const Timeline& timeline);

/// Fills in StageMemory::reserved from a graph already lowered and simulated: of each stage the most that
/// one of its devices reserves.
void add_reserved(const TaskGraph& graph, const Timeline& timeline, Estimate& estimate);

}  // namespace foreplan
