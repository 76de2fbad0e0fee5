#include "planner/scattered_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "models/op_cost.hpp"
#include "planner/plain_step.hpp"
#include "planner/step_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

LayerId before(LayerId id) { return LayerId{static_cast<std::int32_t>(id) - 1}; }

Strategy completed(const Task& task, Strategy strategy) {
  check_step(task, strategy);
  if (!only_replicates(strategy) || strategy.bp != 1 || strategy.split_from != 0) {
    reject("strategy: replication=dataparallel goes with dp alone");
  }
  require_alike(task, strategy.devices(), "replication=dataparallel");
  const BatchSplit batch = split_batch(strategy, task.global_batch);
  if (batch.micro_batches != 1) {
    reject("strategy: replication=dataparallel works on a device's whole share at a time");
  }
  strategy.micro_batch = batch.micro_batch;
  return strategy;
}

}  // namespace

ScatteredStep::ScatteredStep(const Task& task, const Strategy& strategy)
    : task_(task),
      strategy_(completed(task, strategy)),
      groups_(task.cluster, strategy_, task.collectives) {
  lower();
  price_parts();
  plan_memory();
}

void ScatteredStep::lower() {
  const UnitChain chain = unit_chain(task_.model);
  UnitSetting setting{.samples = *strategy_.micro_batch,
                      .lengths = task_.lengths,
                      .dtype = task_.precision,
                      .products = task_.products,
                      .stack = task_.stack};
  const LayerId loss{static_cast<std::int32_t>(task_.model.size()) - 1};
  for (const std::int32_t unit : chain.units) {
    UnitRange range = chain.classes[static_cast<std::size_t>(unit)].range;
    if (range.last == loss) range.last = before(loss);
    if (range.last < range.first) continue;
    replica_.push_back(lower_unit(task_.model, range, setting));
    parameter_count_ += replica_.back().dense_parameters + replica_.back().expert_parameters;
  }
  setting.samples = task_.global_batch;
  loss_ = lower_unit(task_.model, {loss, loss}, setting);
  const std::int64_t size = element_size(task_.precision).count;
  parameters_ = Bytes{parameter_count_ * size};
  outputs_ = task_.global_batch * task_.model.layer(loss).positions.count(task_.lengths) *
             task_.model.classes() * Bytes{size};
  samples_ = task_.global_batch * task_.model.input_positions().count(task_.lengths) *
             task_.model.input_features() * Bytes{4};
}

Duration ScatteredStep::time_of(const std::vector<UnitWork>& works, Pass pass) const {
  const Pricing pricing{
      .costs = task_.costs, .spec = task_.cluster.device(DeviceId{0}), .stack = task_.stack};
  Duration time{};
  for (const UnitWork& work : works) {
    const UnitCost cost = price(work, pricing);
    time += pass == Pass::forward ? cost.whole_forward()
                                  : cost.whole_backward_input() + cost.backward_weight;
  }
  return time;
}

void ScatteredStep::price_parts() {
  using enum CollectiveKind;
  using Kind = Part::Kind;
  const auto exchange = [&](const char* name, Pass pass, CollectiveKind kind, Bytes bytes) {
    if (strategy_.dp == 1) return;
    parts_.push_back({name, pass, groups_.time(kind, bytes, groups_.data()), Kind::exchange});
  };
  const std::vector<UnitWork> loss{loss_};
  const DeviceSpec& device = task_.cluster.device(DeviceId{0});
  const Op update = make_op({.op = std::string(name(task_.optimizer)),
                             .pass = Pass::optimizer,
                             .shape = {std::max<std::int64_t>(1, parameter_count_)},
                             .dtype = task_.precision});
  exchange("scatter_samples", Pass::forward, scatter, samples_);
  exchange("broadcast_parameters", Pass::forward, broadcast, parameters_);
  parts_.push_back({"network", Pass::forward, time_of(replica_, Pass::forward), Kind::everywhere});
  exchange("gather_outputs", Pass::forward, gather, outputs_);
  const Duration lost = time_of(loss, Pass::forward) + time_of(loss, Pass::backward_input);
  parts_.push_back({"loss", Pass::forward, lost, Kind::first});
  exchange("scatter_gradients", Pass::backward_input, scatter, outputs_);
  parts_.push_back(
      {"network", Pass::backward_input, time_of(replica_, Pass::backward_input), Kind::everywhere});
  exchange("reduce_gradients", Pass::backward_weight, reduce, parameters_);
  const Duration updated = task_.costs.compute_time(update, device) + task_.costs.dispatch(device);
  parts_.push_back({"update", Pass::optimizer, updated, Kind::first});
}

/// Device 0 is the fullest: it alone has optimizer state and the whole batch's outputs.
void ScatteredStep::plan_memory() {
  const std::int64_t state = 4 * state_tensors(task_.optimizer);
  StageMemory memory;
  memory.parameters = memory.gradients = parameters_;
  memory.optimizer = Bytes{parameter_count_ * state};
  for (const UnitWork& work : replica_) memory.activations += work.saved;
  memory.activations += outputs_ + loss_.saved;
  memory.buffers = outputs_;  // their gradient
  memory.peak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.buffers;
  base_.strategy = strategy_;
  base_.tasks = static_cast<std::int64_t>(parts_.size());
  base_.peak_memory = memory.peak;
  base_.feasible = memory.peak <= task_.cluster.device(DeviceId{0}).memory;
  base_.stages.push_back(memory);
}

Estimate ScatteredStep::estimate() const {
  using Kind = Part::Kind;
  Estimate result = base_;
  DeviceTime& mean = result.breakdown;
  for (const Part& part : parts_) {
    result.step_time += part.time;
    if (part.kind == Kind::everywhere) mean.compute += part.time;
    if (part.kind == Kind::exchange) mean.exposed_communication += part.time;
    if (part.kind != Kind::first) continue;
    (part.pass == Pass::optimizer ? mean.optimizer : mean.compute) += part.time / strategy_.dp;
  }
  mean.idle = result.step_time - mean.compute - mean.exposed_communication - mean.optimizer;
  fill_plain_rates(task_, result);
  return result;
}

FoldedGraph ScatteredStep::graph() const {
  const int devices = std::min(2, strategy_.dp);
  TaskGraphBuilder builder(devices);
  builder.set_global_batch(task_.global_batch);
  FoldedGraph result;
  std::vector<TaskId> last;
  for (const Part& part : parts_) {
    const OpId op = builder.add_op({.key = {.op = part.name, .pass = part.pass, .shape = {1}},
                                    .flops = {},
                                    .traffic = {},
                                    .given = part.time});
    std::vector<TaskId> now;
    const int on = part.kind == Part::Kind::first ? 1 : devices;
    for (int d = 0; d < on; ++d) {
      const bool computes = part.kind != Part::Kind::exchange;
      now.push_back(builder.add({.device = DeviceId{d},
                                 .stream = computes ? kComputeStream : kCollectiveStream,
                                 .op = op,
                                 .after = last}));
      result.costs.duration.push_back(part.time);
    }
    last = now;
  }
  const StageMemory& memory = base_.stages.front();
  const auto keep = [&](BufferCategory category, Bytes bytes) {
    builder.add_buffer(
        {.device = DeviceId{0}, .bytes = bytes, .category = category, .persistent = true});
  };
  keep(BufferCategory::parameter, memory.parameters);
  keep(BufferCategory::gradient, memory.gradients);
  keep(BufferCategory::optimizer_state, memory.optimizer);
  keep(BufferCategory::activation, memory.activations);
  keep(BufferCategory::workspace, memory.buffers);
  result.costs.flow.resize(result.costs.duration.size());
  result.graph = std::move(builder).build();
  return result;
}

}  // namespace foreplan
