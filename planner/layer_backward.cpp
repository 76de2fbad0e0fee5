#include <utility>

#include "planner/layer_lowering.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kFloat = 4;  ///< bytes of an fp32 number, and of an int32 label

}  // namespace

bool LayerLowering::needs_input_gradient(int layer, std::size_t operand) const {
  return setting_.model.inputs(LayerId{layer})[operand] != kModelInput;
}

void LayerLowering::contribute(Cell& cell, int layer, std::size_t operand, Cell::PerRank gradient) {
  const LayerId input = setting_.model.inputs(LayerId{layer})[operand];
  cell.gradients[slot_of(cell, input)].push_back(std::move(gradient));
}

Cell::PerRank LayerLowering::gradient(Cell& cell, std::size_t slot, int layer) {
  std::vector<Cell::PerRank>& parts = cell.gradients[slot];
  while (parts.size() > 1) {
    const Cell::PerRank second = std::move(parts.back());
    parts.pop_back();
    const Cell::PerRank first = std::move(parts.back());
    parts.pop_back();
    Cell::PerRank sums;
    for (std::size_t t = 0; t < first.size(); ++t) {
      const std::int64_t count = first[t].range.bytes.count / kFloat;
      Value sum = fp32(cell, static_cast<int>(t), count, BufferCategory::activation);
      emitter_.compute(context(cell, layer, static_cast<int>(t)),
                       {.op = "add", .pass = Pass::forward, .shape = {count}},
                       {first[t], second[t]}, {&sum});
      sums.push_back(std::move(sum));
    }
    parts.push_back(std::move(sums));
  }
  return parts.front();
}

Value LayerLowering::gradient_of(DeviceId device, std::int32_t tensor) const {
  const DeviceState& state = devices_[index(device)];
  for (const ParameterPlace& place : state.layout.places) {
    if (place.tensor != tensor) continue;
    return part(state.gradients[static_cast<std::size_t>(place.bucket)], place.offset,
                Bytes{kFloat * place.shard.elements()});
  }
  return {};
}

void LayerLowering::add_weight_task(Cell& cell, WeightTask task) {
  task.key.pass = Pass::backward_weight;
  task.key.accumulate = task.context.micro_batch > 0;
  if (cell.split_backward) {
    cell.waiting.push_back(std::move(task));
  } else {
    write(std::move(task));
  }
}

void LayerLowering::backward_weights(Cell& cell) {
  for (WeightTask& task : cell.waiting) write(std::move(task));
  cell.waiting.clear();
}

void LayerLowering::write(WeightTask task) {
  const DeviceId device = task.context.device;
  std::vector<Value> gradients;
  for (const std::int32_t tensor : task.tensors) gradients.push_back(gradient_of(device, tensor));
  std::vector<Value*> writes;
  for (Value& gradient : gradients) writes.push_back(&gradient);
  const TaskId id = emitter_.compute(task.context, std::move(task.key), task.reads, writes);
  DeviceState& state = devices_[index(device)];
  for (const ParameterPlace& place : state.layout.places) {
    for (const std::int32_t tensor : task.tensors) {
      // The compute stream is FIFO: the last writer is done after all before it.
      if (place.tensor == tensor) state.last_write[static_cast<std::size_t>(place.bucket)] = {id};
    }
  }
}

void LayerLowering::backward(Cell& cell, int layer) {
  const LayerKind kind = layer_at(layer).kind;
  if (kind == LayerKind::softmax_cross_entropy) return backward_loss(cell, layer);
  const Cell::PerRank dy = gradient(cell, slot_of(cell, LayerId{layer}), layer);
  switch (kind) {
    case LayerKind::linear:
      return backward_linear(cell, layer, dy);
    case LayerKind::relu:
    case LayerKind::gelu:
      return backward_element_wise(cell, layer, dy);
    case LayerKind::add:
      for (std::size_t operand = 0; operand < 2; ++operand) {
        if (needs_input_gradient(layer, operand)) contribute(cell, layer, operand, dy);
      }
      return;
    case LayerKind::layer_norm:
      return backward_layer_norm(cell, layer, dy);
    default:
      return;  // check() has refused it
  }
}

Cell::PerRank LayerLowering::slice_columns(Cell& cell, int layer, const Cell::PerRank& dy) {
  Cell::PerRank slices;
  const std::int64_t width = layer_at(layer).out_features;
  for (int t = 0; t < tp(); ++t) {
    const Value& whole = dy[static_cast<std::size_t>(t)];
    const Bytes skip{kFloat * (width / tp()) * t};
    Value slice = fp32(cell, t, rows() * width / tp(), BufferCategory::activation);
    emitter_.compute(
        context(cell, layer, t),
        {.op = "gather_columns", .pass = Pass::backward_input, .shape = {rows(), width, tp()}},
        {part(whole, skip, whole.range.bytes - skip)}, {&slice});
    slices.push_back(std::move(slice));
  }
  return slices;
}

void LayerLowering::backward_linear(Cell& cell, int layer, const Cell::PerRank& whole_dy) {
  const Sharding cut = sharding(layer);
  const Cell::PerRank dy =
      cut == Sharding::column_gather ? slice_columns(cell, layer, whole_dy) : whole_dy;
  if (needs_input_gradient(layer)) {
    const std::vector<std::int32_t> tensors = setting_.model.parameters_of(LayerId{layer});
    const std::vector<std::int64_t> shape = product_shape(layer);
    const bool fused_bias = tensors.size() == 2 && cut != Sharding::row;
    Cell::PerRank dx;
    for (int t = 0; t < tp(); ++t) {
      Value result = fp32(cell, t, shape[0] * shape[1], BufferCategory::activation);
      const OpKey key{
          .op = fused_bias ? "linear" : "matmul", .pass = Pass::backward_input, .shape = shape};
      emitter_.compute(context(cell, layer, t), key,
                       {dy[static_cast<std::size_t>(t)], parameter(cell, t, tensors[0])},
                       {&result});
      dx.push_back(std::move(result));
    }
    // Each rank saw its columns of W only: the whole gradient is the sum over ranks.
    if (cut == Sharding::column || cut == Sharding::column_gather) {
      collective(CollectiveKind::all_reduce, cell, layer, dx);
    }
    contribute(cell, layer, 0, std::move(dx));
  }
  backward_linear_weight(cell, layer, dy);
}

void LayerLowering::backward_linear_weight(Cell& cell, int layer, const Cell::PerRank& dy) {
  const std::vector<std::int32_t> tensors = setting_.model.parameters_of(LayerId{layer});
  const bool by_rows = sharding(layer) == Sharding::row;
  for (int t = 0; t < tp(); ++t) {
    const auto rank = static_cast<std::size_t>(t);
    const bool fused_bias = tensors.size() == 2 && !by_rows;
    add_weight_task(cell,
                    {.context = context(cell, layer, t),
                     .key = {.op = fused_bias ? "linear" : "matmul", .shape = product_shape(layer)},
                     .reads = {input(cell, layer)[rank], dy[rank]},
                     .tensors = fused_bias ? tensors : std::vector<std::int32_t>{tensors[0]}});
    if (tensors.size() == 2 && by_rows) {
      add_weight_task(cell,
                      {.context = context(cell, layer, t),
                       .key = {.op = "bias_add", .shape = {rows(), layer_at(layer).out_features}},
                       .reads = {dy[rank]},
                       .tensors = {tensors[1]}});
    }
  }
}

void LayerLowering::backward_element_wise(Cell& cell, int layer, const Cell::PerRank& dy) {
  if (!needs_input_gradient(layer)) return;
  const bool relu = layer_at(layer).kind == LayerKind::relu;
  Cell::PerRank results;
  for (int t = 0; t < tp(); ++t) {
    const auto rank = static_cast<std::size_t>(t);
    const std::int64_t count = rows() * columns(layer);
    const Value& seen =
        relu ? cell.outputs[slot_of(cell, LayerId{layer})][rank] : input(cell, layer)[rank];
    Value dx = fp32(cell, t, count, BufferCategory::activation);
    emitter_.compute(context(cell, layer, t),
                     {.op = std::string(name(layer_at(layer).kind)),
                      .pass = Pass::backward_input,
                      .shape = {count}},
                     {seen, dy[rank]}, {&dx});
    results.push_back(std::move(dx));
  }
  contribute(cell, layer, 0, std::move(results));
}

void LayerLowering::backward_layer_norm(Cell& cell, int layer, const Cell::PerRank& dy) {
  const std::vector<std::int32_t> tensors = setting_.model.parameters_of(LayerId{layer});
  const std::vector<std::int64_t> shape{rows(), layer_at(layer).out_features};
  Cell::PerRank results;
  for (int t = 0; t < tp(); ++t) {
    const auto rank = static_cast<std::size_t>(t);
    const Value& x = input(cell, layer)[rank];
    const Value& statistics = cell.saved[slot_of(cell, LayerId{layer})][rank];
    if (needs_input_gradient(layer)) {
      Value dx = fp32(cell, t, shape[0] * shape[1], BufferCategory::activation);
      emitter_.compute(context(cell, layer, t),
                       {.op = "layer_norm", .pass = Pass::backward_input, .shape = shape},
                       {x, statistics, parameter(cell, t, tensors[0]), dy[rank]}, {&dx});
      results.push_back(std::move(dx));
    }
    add_weight_task(cell, {.context = context(cell, layer, t),
                           .key = {.op = "layer_norm", .shape = shape},
                           .reads = {x, statistics, dy[rank]},
                           .tensors = tensors});
  }
  if (!results.empty()) contribute(cell, layer, 0, std::move(results));
}

void LayerLowering::backward_loss(Cell& cell, int layer) {
  const std::vector<std::int64_t> shape{rows(), layer_at(layer).in_features};
  Cell::PerRank results;
  for (int t = 0; t < tp(); ++t) {
    const DeviceState& state = devices_[index(device(cell, t))];
    const Value labels =
        part(state.labels, Bytes{kFloat * rows() * cell.micro_batch}, Bytes{kFloat * rows()});
    Value dx = fp32(cell, t, shape[0] * shape[1], BufferCategory::activation);
    emitter_.compute(
        context(cell, layer, t),
        {.op = "softmax_cross_entropy", .pass = Pass::backward_input, .shape = shape},
        {cell.saved[slot_of(cell, LayerId{layer})][static_cast<std::size_t>(t)], labels}, {&dx});
    results.push_back(std::move(dx));
  }
  contribute(cell, layer, 0, std::move(results));
}

}  // namespace foreplan
