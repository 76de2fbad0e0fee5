#include "planner/layer_split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "models/kernel_features.hpp"
#include "models/op_cost.hpp"
#include "planner/gradient_sync.hpp"
#include "planner/partition.hpp"
#include "planner/plain_step.hpp"
#include "planner/rank_unit.hpp"
#include "planner/step_check.hpp"
#include "planner/tensor_split.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

LayerId layer_id(std::size_t i) { return LayerId{static_cast<std::int32_t>(i)}; }
std::size_t place(LayerId id) { return static_cast<std::size_t>(id); }

void check_place(const Task& task, const Strategy& strategy) {
  if (strategy.split_from == 0) return;
  if (strategy.dp == 1) {
    reject(fmt::format("strategy: split_from={} needs dp > 1", strategy.split_from));
  }
  const auto most = static_cast<std::int64_t>(task.model.size()) - 2;
  if (strategy.split_from < 0 || strategy.split_from > most) {
    reject(fmt::format("strategy: split_from: {} has layers 0 to {}, expected 1 to {}, got {}",
                       task.model.name(), most, most, strategy.split_from));
  }
}

Strategy checked(const Task& task, Strategy strategy) {
  check_step(task, strategy);
  const bool plain =
      only_replicates(strategy) && strategy.bp == 1 && strategy.replication == Replication::ddp;
  if (!plain) reject("strategy: split_from goes with dp and micro_batch alone");
  if (!task.model.flat()) {
    reject(fmt::format("strategy: {} is made of blocks, whose layers are split alike",
                       task.model.name()));
  }
  require_alike(task, strategy.devices(), "a split by layers");
  check_place(task, strategy);
  strategy.micro_batch = split_batch(strategy, task.global_batch).micro_batch;
  return strategy;
}

bool is_product(LayerKind kind) {
  return kind == LayerKind::linear || kind == LayerKind::conv2d || kind == LayerKind::expert_linear;
}

}  // namespace

LayerSplit::LayerSplit(const Task& task, const Strategy& strategy)
    : task_(folded_task(task)),
      strategy_(checked(task, strategy)),
      batch_(split_batch(strategy_, task.global_batch)),
      data_(task.cluster, {.dp = strategy_.dp}, task.collectives, &task.costs),
      tensor_(task.cluster, {.tp = strategy_.dp}, task.collectives, &task.costs),
      cuts_(cuts(task.model)) {
  const LayerId none = layer_id(task.model.size());
  for (std::size_t i = 0; i < task.model.size(); ++i) {
    before_.push_back(lowered(layer_id(i), none));
    price_unit(before_.back());
  }
}

LayerSplit::Unit LayerSplit::lowered(LayerId id, LayerId split_from) const {
  const bool behind = id >= split_from;
  UnitSetting setting = unit_setting(task_, strategy_);
  if (behind) {
    setting.samples *= strategy_.dp;
    setting.tp = strategy_.dp;
    setting.split_from = split_from;
  }
  const bool loss = place(id) + 1 == task_.model.size();
  const UnitClass unit{.range = {id, id}, .role = loss ? BlockRole::head : BlockRole::layer};
  return {.work = rank_unit(task_, unit, setting, tensor_),
          .cost = {},
          .measured = measured_unit(task_, unit.range, setting.tp, setting.samples)};
}

void LayerSplit::price_unit(Unit& unit) const {
  unit.cost = price(
      unit.work,
      {.costs = task_.costs, .spec = task_.cluster.device(DeviceId{0}), .stack = task_.stack});
}

/// Each device wants the gradient of its own samples only.
void LayerSplit::scatter_gradient(LayerId from, std::vector<Unit>& behind) const {
  const LayerId border = layer_id(place(from) - 1);
  for (Unit& unit : behind) {
    for (Exchange& exchange : unit.work.exchanges) {
      const std::vector<LayerId>& read = task_.model.inputs(exchange.layer);
      const bool crosses = std::find(read.begin(), read.end(), border) != read.end();
      if (crosses && exchange.pass == Pass::backward_input) {
        exchange.kind = CollectiveKind::reduce_scatter;
        exchange.time = exchange_time(exchange, tensor_, task_.stack);
      }
    }
  }
}

Duration LayerSplit::gathered(LayerId from) const {
  if (from == LayerId{0} || place(from) == task_.model.size()) return {};
  const Bytes own = before_[place(from) - 1].work.leaving;
  return data_.time(CollectiveKind::all_gather, strategy_.dp * own, data_.data());
}

LayerSplit::Times LayerSplit::times(LayerId from, const std::vector<Unit>& behind) const {
  Times sum;
  sum.exchanging = gathered(from);
  const auto add = [&](const UnitCost& cost) {
    const Duration exchanges = cost.forward_exchange + cost.backward_exchange;
    sum.exchanging += exchanges;
    sum.computing += cost.forward + cost.backward_input + cost.backward_weight;
  };
  for (const Unit& unit : behind) add(unit.cost);
  for (std::size_t i = place(from); i-- > 0;) {
    const UnitCost& cost = before_[i].cost;
    add(cost);
    sum.backwards.push_back(cost.whole_backward_input() + cost.backward_weight);
    sum.backward += sum.backwards.back();
  }
  return sum;
}

/// When the gradients of the layers before are aggregated.
Duration LayerSplit::aggregated(LayerId from, const Times& times, Duration finish) const {
  std::vector<const UnitWork*> works;
  for (std::size_t i = place(from); i-- > 0;) works.push_back(&before_[i].work);
  const std::vector<BucketSend> buckets = plan_buckets(works, strategy_, data_, task_.stack);
  const LastBackward last{.start = finish - times.backward,
                          .finish = finish,
                          .times = times.backwards,
                          .buckets = &buckets};
  const AggregatedGradients gradients =
      gradients_done({last}, task_.stack.overlap_gradients,
                     task_.costs.overlap(task_.cluster.device(DeviceId{0})));
  return std::max(gradients.finish, gradients.ready);
}

std::int64_t LayerSplit::parameters(LayerId from, const std::vector<Unit>& behind) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < place(from); ++i) sum += before_[i].work.dense_parameters;
  for (const Unit& unit : behind) sum += unit.work.dense_parameters;
  return sum;
}

Duration LayerSplit::update_time(std::int64_t own) const {
  const DeviceSpec& device = task_.cluster.device(DeviceId{0});
  const bool master = task_.stack.keeps_master(task_.precision);
  const auto time = [&](const std::string& what) {
    Op op = make_op({.op = what,
                     .pass = Pass::optimizer,
                     .shape = {std::max<std::int64_t>(1, own)},
                     .dtype = master ? task_.precision : DType::fp32});
    execute_as(task_.stack.kernels, op);
    return task_.costs.compute_time(op, device) + task_.costs.dispatch(device);
  };
  const Duration norm = task_.stack.clip_gradients ? time("square_sum") : Duration{};
  return norm + time(std::string(name(task_.optimizer)) + (master ? "_master" : ""));
}

StageMemory LayerSplit::memory(LayerId from, const std::vector<Unit>& behind) const {
  std::vector<const UnitWork*> units;
  for (std::size_t i = 0; i < place(from); ++i) units.push_back(&before_[i].work);
  for (const Unit& unit : behind) units.push_back(&unit.work);
  return plain_memory(task_, units);
}

LayerSplit::Course LayerSplit::course(LayerId from) const {
  const bool legal =
      from == LayerId{0} || place(from) >= task_.model.size() - 1 || cuts_[place(from) - 1];
  if (!legal || from < LayerId{0} || place(from) > task_.model.size()) {
    reject(fmt::format("strategy: split from layer {}: more than one tensor crosses before it",
                       static_cast<std::int32_t>(from)));
  }
  std::vector<Unit> behind;
  for (std::size_t i = place(from); i < task_.model.size(); ++i) {
    behind.push_back(lowered(layer_id(i), from));
  }
  if (from > LayerId{0}) scatter_gradient(from, behind);
  for (Unit& unit : behind) price_unit(unit);
  Course found{.micro_batch = times(from, behind),
               .pipeline = {},
               .ready = {},
               .update = update_time(parameters(from, behind)),
               .memory = memory(from, behind)};
  const Times& once = found.micro_batch;
  found.pipeline = batch_.micro_batches * (once.computing + once.exchanging);
  found.ready = aggregated(from, once, found.pipeline);
  return found;
}

Estimate LayerSplit::estimate(LayerId from) const {
  const Course found = course(from);
  Estimate result;
  result.strategy = strategy_;
  const bool both = from > LayerId{0} && place(from) + 1 < task_.model.size();
  result.strategy.split_from = both ? static_cast<std::int32_t>(from) : 0;
  DeviceTime& mean = result.breakdown;
  mean.compute = batch_.micro_batches * found.micro_batch.computing;
  mean.exposed_communication =
      batch_.micro_batches * found.micro_batch.exchanging + found.ready - found.pipeline;
  mean.optimizer = found.update;
  mean.idle = task_.stack.host_step;
  result.step_time = found.ready + mean.optimizer + mean.idle;
  result.tasks = 2 * batch_.micro_batches + 3;
  result.stages.push_back(found.memory);
  result.peak_memory = result.stages.front().peak;
  const Bytes room = task_.cluster.device(DeviceId{0}).memory;
  result.feasible = result.peak_memory + task_.stack.context_bytes <= room;
  fill_plain_rates(task_, result);
  return result;
}

FoldedGraph LayerSplit::graph() const {
  const Course found = course(LayerId{strategy_.split_from});
  TaskGraphBuilder builder(1);
  builder.set_global_batch(task_.global_batch);
  FoldedGraph result;
  const auto add = [&](const char* what, StreamId stream, Duration time, std::int64_t micro_batch) {
    const auto number = static_cast<std::int32_t>(result.costs.duration.size());
    const OpId op = builder.add_op(
        {.key = {.op = what, .shape = {1}}, .flops = {}, .traffic = {}, .given = time});
    std::vector<TaskId> after;
    if (number > 0) after.push_back(TaskId{number - 1});
    builder.add({.device = DeviceId{0},
                 .stream = stream,
                 .op = op,
                 .micro_batch = static_cast<std::int32_t>(micro_batch),
                 .after = std::move(after)});
    result.costs.duration.push_back(time);
  };
  for (std::int64_t i = 0; i < batch_.micro_batches; ++i) {
    add("layers", kComputeStream, found.micro_batch.computing, i);
    add("exchange", kCollectiveStream, found.micro_batch.exchanging, i);
  }
  add("aggregate_gradients", kCollectiveStream, found.ready - found.pipeline, -1);
  add("update", kComputeStream, found.update, -1);
  add("wait_for_host", kComputeStream, task_.stack.host_step, -1);
  const auto keep = [&](BufferCategory category, Bytes bytes) {
    builder.add_buffer(
        {.device = DeviceId{0}, .bytes = bytes, .category = category, .persistent = true});
  };
  keep(BufferCategory::parameter, found.memory.parameters);
  keep(BufferCategory::gradient, found.memory.gradients);
  keep(BufferCategory::optimizer_state, found.memory.optimizer);
  keep(BufferCategory::activation, found.memory.activations);
  keep(BufferCategory::workspace, found.memory.buffers);
  result.costs.flow.resize(result.costs.duration.size());
  result.graph = std::move(builder).build();
  return result;
}

std::vector<LayerId> split_places(const OpGraph& model) {
  std::vector<LayerId> places;
  if (!model.flat()) return places;
  const std::vector<bool> legal = cuts(model);
  bool linear = false;
  for (std::size_t i = model.size() - 1; i-- > 0;) {
    const LayerKind kind = model.layer(layer_id(i)).kind;
    if (is_product(kind) && kind != LayerKind::linear) break;
    linear = linear || kind == LayerKind::linear;
    if (linear && i > 0 && legal[i - 1]) places.push_back(layer_id(i));
  }
  std::reverse(places.begin(), places.end());
  return places;
}

bool shares_from(const OpGraph& model, LayerId from, int devices) {
  try {
    split_tensors(model, from, layer_id(model.size() - 1), devices);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace foreplan
