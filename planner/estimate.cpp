#include "planner/estimate.hpp"

#include <algorithm>

#include "models/layer_ops.hpp"
#include "planner/branch_step.hpp"
#include "planner/folded_step.hpp"
#include "planner/layer_split.hpp"
#include "planner/partition.hpp"
#include "planner/pipeline_schedule.hpp"
#include "planner/scattered_step.hpp"
#include "planner/step_check.hpp"

namespace foreplan {
namespace {

constexpr DType kPrecision = DType::fp32;

/// Time of each layer, the loss not counted, for one micro-batch forward and backward.
std::vector<Duration> layer_times(const Task& task, const Strategy& strategy) {
  Strategy one = strategy;
  one.dp = one.pp = one.vpp = 1;
  one.schedule = Strategy{}.schedule;
  one.layers.clear();
  const std::int64_t micro_batch = split_batch(strategy, task.global_batch).micro_batch;
  one.micro_batch = micro_batch;
  LoweringOptions options = lowering_options(task);
  options.communication = false;
  const TaskGraph graph = lower(task.model, one, micro_batch, options);
  std::vector<Duration> times(task.model.size() - 1, Duration::zero());
  const DeviceSpec& spec = task.cluster.device(DeviceId{0});
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const auto node = static_cast<std::size_t>(graph.node[i]);
    if (graph.node[i] < 0 || node >= times.size() || graph.device[i] != DeviceId{0}) continue;
    times[node] += task.costs.compute_time(graph.ops[index(graph.op[i])], spec);
  }
  return times;
}

Flops model_flops(const OpGraph& model, std::int64_t samples) {
  Flops total;
  for (std::size_t i = 0; i < model.size(); ++i) {
    const LayerCost cost = layer_cost(model, LayerId{static_cast<std::int32_t>(i)}, kPrecision);
    total += cost.forward + cost.backward_input + cost.backward_weight;
  }
  return total * static_cast<double>(samples);
}

StageMemory stage_memory(int stage, const DeviceMemory& memory) {
  const auto of = [&](BufferCategory category) {
    return memory.at_peak[static_cast<std::size_t>(category)];
  };
  return {.stage = stage,
          .peak = memory.peak,
          .parameters = of(BufferCategory::parameter),
          .gradients = of(BufferCategory::gradient),
          .optimizer = of(BufferCategory::optimizer_state),
          .activations = of(BufferCategory::activation) + of(BufferCategory::input),
          .buffers = of(BufferCategory::communication) + of(BufferCategory::workspace)};
}

void fill_memory(const Task& task, const TaskGraph& graph, const Timeline& timeline,
                 Estimate& result) {
  const std::vector<DeviceMemory> memory = memory_timeline(graph, timeline);
  const Strategy& s = result.strategy;
  const int per_stage = s.dp * s.tp;
  for (int stage = 0; stage < s.pp; ++stage) {
    StageMemory fullest{};
    for (int i = 0; i < per_stage; ++i) {
      const auto device = static_cast<std::size_t>(stage * per_stage + i);
      const StageMemory here = stage_memory(stage, memory[device]);
      if (i == 0 || here.peak > fullest.peak) fullest = here;
      const DeviceId id{static_cast<std::int32_t>(device)};
      const Bytes needed = here.peak + task.stack.context_bytes;
      if (needed > task.cluster.device(id).memory) result.feasible = false;
    }
    result.stages.push_back(fullest);
    result.peak_memory = std::max(result.peak_memory, fullest.peak);
  }
}

}  // namespace

std::string_view name(Limit limit) {
  switch (limit) {
    case Limit::compute:
      return "compute";
    case Limit::communication:
      return "communication";
    case Limit::bubble:
      return "bubble";
    case Limit::memory:
      return "memory";
  }
  return "?";
}

double utilisation(const Task& task, Flops work, Duration step, int devices) {
  const DType format = task.products.value_or(task.precision);
  const auto peak_of = [&](const DeviceSpec& spec) {
    const auto found = spec.peak.find(format);
    return found == spec.peak.end() ? 0.0 : found->second.flops_per_s;
  };
  double peak = 0;
  if (task.cluster.specs().size() == 1) {
    peak = devices * peak_of(task.cluster.specs().front());
  } else {
    for (int i = 0; i < devices; ++i) {
      const double each = peak_of(task.cluster.device(DeviceId{i}));
      if (each == 0) return 0;
      peak += each;
    }
  }
  const double capacity = seconds(step) * peak;
  return capacity > 0 ? work.count / capacity : 0;
}

Limit limit_of(const Estimate& estimate) {
  if (!estimate.feasible) return Limit::memory;
  const DeviceTime& time = estimate.breakdown;
  const Duration compute = time.compute + time.optimizer;
  if (compute >= time.exposed_communication && compute >= time.idle) return Limit::compute;
  return time.exposed_communication >= time.idle ? Limit::communication : Limit::bubble;
}

LoweringOptions lowering_options(const Task& task) {
  LoweringOptions options;
  options.optimizer = task.optimizer;
  options.concurrent_streams = task.cluster.device(DeviceId{0}).concurrent_streams;
  return options;
}

Strategy complete(const Task& task, const Strategy& strategy) {
  check_step(task, strategy);
  check(strategy, task.model, task.cluster.devices(), task.global_batch);
  Strategy whole = strategy;
  const BatchSplit batch = split_batch(strategy, task.global_batch);
  whole.micro_batch = batch.micro_batch;
  if (whole.pp == 1) {
    // Without stages there is nothing to cut.
    whole.layers = {static_cast<int>(task.model.size()) - 1};
  } else if (whole.layers.empty()) {
    const PipelineShape shape = pipeline_shape(strategy, static_cast<int>(batch.micro_batches));
    whole.layers =
        balanced_partition(task.model, layer_times(task, strategy), shape.virtual_stages());
  }
  return whole;
}

Estimate summarise(const Task& task, const Strategy& strategy, const TaskGraph& graph,
                   const Timeline& timeline) {
  Estimate result;
  result.strategy = strategy;
  result.step_time = makespan(timeline);
  const double step = seconds(result.step_time);
  result.samples_per_s = step > 0 ? static_cast<double>(task.global_batch) / step : 0;
  Flops executed;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.kind[i] == TaskKind::compute) executed += graph.ops[index(graph.op[i])].flops;
  }
  const int devices = strategy.devices();
  result.mfu =
      utilisation(task, model_flops(task.model, task.global_batch), result.step_time, devices);
  result.hfu = utilisation(task, executed, result.step_time, devices);
  result.breakdown = mean_device_time(device_times(graph, timeline));
  result.tasks = static_cast<std::int64_t>(graph.size());
  fill_memory(task, graph, timeline, result);
  result.limited_by = limit_of(result);
  return result;
}

void add_reserved(const TaskGraph& graph, const Timeline& timeline, Estimate& estimate) {
  const std::vector<ReservedMemory> memory = reserved_memory(graph, timeline);
  const auto per_stage = memory.size() / estimate.stages.size();
  for (std::size_t i = 0; i < memory.size(); ++i) {
    std::optional<Bytes>& most = estimate.stages[i / per_stage].reserved;
    most = std::max(most.value_or(Bytes{}), memory[i].peak_reserved);
  }
}

bool is_lowered(const Task& task, const Strategy& strategy) {
  const double devices = static_cast<double>(strategy.dp) * strategy.tp * strategy.pp;
  return is_executable(task.model) && can_run(strategy) && task.precision == DType::fp32 &&
         !task.products && task.slow.empty() && !task.collectives && devices <= kMostLoweredDevices;
}

bool is_apart(const Strategy& strategy) {
  return strategy.replication == Replication::dataparallel || strategy.split_from != 0 ||
         strategy.bp > 1;
}

Estimate estimate(const Task& task, const Strategy& strategy) {
  if (strategy.replication == Replication::dataparallel) {
    return ScatteredStep(task, strategy).estimate();
  }
  if (strategy.split_from != 0) return LayerSplit(task, strategy).estimate();
  if (strategy.bp > 1) return BranchStep(task, strategy).estimate();
  if (!is_lowered(task, strategy)) return FoldedStep(task, strategy).estimate(task.costs);
  const Strategy whole = complete(task, strategy);
  const TaskGraph graph = lower(task.model, whole, task.global_batch, lowering_options(task));
  const Costs costs = cost(graph, task.cluster, task.costs);
  return summarise(task, whole, graph, simulate(graph, costs, task.cluster).timeline);
}

}  // namespace foreplan
