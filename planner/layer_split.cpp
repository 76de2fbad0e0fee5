#include "planner/layer_split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "models/kernel_features.hpp"
#include "models/op_cost.hpp"
#include "planner/gradient_sync.hpp"
#include "planner/partition.hpp"
#include "planner/rank_unit.hpp"
#include "planner/step_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

LayerId layer_id(std::size_t i) { return LayerId{static_cast<std::int32_t>(i)}; }
std::size_t place(LayerId id) { return static_cast<std::size_t>(id); }

Strategy checked(const Task& task, int devices, std::int64_t micro_batch) {
  const Strategy strategy{.dp = devices, .micro_batch = micro_batch};
  check_step(task, strategy);
  if (!task.model.flat()) {
    reject(fmt::format("strategy: {} is made of blocks, whose layers are split alike",
                       task.model.name()));
  }
  if (task.cluster.specs().size() > 1 || !task.slow.empty()) {
    reject("strategy: a split by layers is forecast for devices that are all alike");
  }
  split_batch(strategy, task.global_batch);
  return strategy;
}

bool is_product(LayerKind kind) {
  return kind == LayerKind::linear || kind == LayerKind::conv2d || kind == LayerKind::expert_linear;
}

}  // namespace

LayerSplit::LayerSplit(const Task& task, int devices, std::int64_t micro_batch)
    : task_(task),
      strategy_(checked(task, devices, micro_batch)),
      batch_(split_batch(strategy_, task.global_batch)),
      data_(task.cluster, {.dp = devices}, task.collectives, &task.costs),
      tensor_(task.cluster, {.tp = devices}, task.collectives, &task.costs),
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

/// As FoldedStep counts it for one micro-batch in flight and nothing recomputed.
StageMemory LayerSplit::memory(LayerId from, const std::vector<Unit>& behind) const {
  std::vector<const UnitWork*> units;
  for (std::size_t i = 0; i < place(from); ++i) units.push_back(&before_[i].work);
  for (const Unit& unit : behind) units.push_back(&unit.work);
  const std::int64_t own = parameters(from, behind);
  const Stack& stack = task_.stack;
  const bool master = stack.keeps_master(task_.precision);
  StageMemory memory;
  memory.parameters = own * element_size(stack.stored(task_.precision));
  memory.gradients = Bytes{own * stack.gradient_bytes};
  if (stack.micro_batch_gradients) memory.gradients += own * element_size(task_.precision);
  memory.optimizer = Bytes{own * (4 * state_tensors(task_.optimizer) + (master ? 4 : 0))};
  Bytes excess, placeholders;
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    const Bytes moving = std::max((*unit)->working.forward, (*unit)->working.backward);
    excess = std::max(excess, moving - memory.activations);
    memory.activations += (*unit)->saved;
    placeholders += (*unit)->placeholders;
  }
  memory.buffers = excess + placeholders;
  memory.peak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.buffers;
  return memory;
}

Estimate LayerSplit::estimate(LayerId from) const {
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
  const Times micro_batch = times(from, behind);
  const Duration pipeline = batch_.micro_batches * (micro_batch.computing + micro_batch.exchanging);
  const Duration ready = aggregated(from, micro_batch, pipeline);

  Estimate result;
  result.strategy = strategy_;
  DeviceTime& mean = result.breakdown;
  mean.compute = batch_.micro_batches * micro_batch.computing;
  mean.exposed_communication = batch_.micro_batches * micro_batch.exchanging + ready - pipeline;
  mean.optimizer = update_time(parameters(from, behind));
  mean.idle = task_.stack.host_step;
  result.step_time = ready + mean.optimizer + mean.idle;
  result.tasks = 2 * batch_.micro_batches;
  result.stages.push_back(memory(from, behind));
  result.peak_memory = result.stages.front().peak;
  const Bytes room = task_.cluster.device(DeviceId{0}).memory;
  result.feasible = result.peak_memory + task_.stack.context_bytes <= room;
  fill_rates(result);
  return result;
}

void LayerSplit::fill_rates(Estimate& result) const {
  const double step = seconds(result.step_time);
  result.samples_per_s = step > 0 ? static_cast<double>(task_.global_batch) / step : 0;
  const Flops once = matrix_flops(task_.model, {.samples = 1, .lengths = task_.lengths});
  result.mfu = result.hfu = utilisation(task_, once * static_cast<double>(task_.global_batch),
                                        result.step_time, strategy_.dp);
  result.limited_by = limit_of(result);
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

}  // namespace foreplan
