#include <utility>

#include "planner/layer_lowering.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kFloat = 4;  ///< bytes of an fp32 number, and of an int32 label

}  // namespace

Value part(const Value& value, Bytes offset, Bytes bytes) {
  Value slice = value;
  slice.range.offset += offset;
  slice.range.bytes = bytes;
  return slice;
}

DeviceId LayerLowering::device(int dp_rank, int stage, int t) const {
  return ranks_.device({.tp = t, .dp = dp_rank, .pp = stage});
}

std::size_t LayerLowering::slot_of(const Cell& cell, LayerId layer) const {
  const int first = setting_.layers[static_cast<std::size_t>(cell.virtual_stage)].first;
  return static_cast<std::size_t>(static_cast<int>(layer) - first + 1);
}

EmitContext LayerLowering::context(const Cell& cell, int layer, int t) const {
  return {.device = device(cell, t), .node = layer, .micro_batch = cell.micro_batch};
}

const Cell::PerRank& LayerLowering::input(const Cell& cell, int layer, std::size_t operand) const {
  return cell.outputs[slot_of(cell, setting_.model.inputs(LayerId{layer})[operand])];
}

Value LayerLowering::fp32(const Cell& cell, int t, std::int64_t count, BufferCategory category) {
  return emitter_.temporary(device(cell, t), Bytes{kFloat * count}, category);
}

Value LayerLowering::parameter(const Cell& cell, int t, std::int32_t tensor) const {
  const DeviceState& state = devices_[index(device(cell, t))];
  for (const ParameterPlace& place : state.layout.places) {
    if (place.tensor != tensor) continue;
    return part(state.parameters[static_cast<std::size_t>(place.bucket)], place.offset,
                Bytes{kFloat * place.shard.elements()});
  }
  return {};
}

/// [m, k, n] of the rank's part of a linear layer.
std::vector<std::int64_t> LayerLowering::product_shape(int layer) const {
  const Layer& l = layer_at(layer);
  const bool by_rows = sharding(layer) == Sharding::row;
  const bool by_columns =
      sharding(layer) == Sharding::column || sharding(layer) == Sharding::column_gather;
  return {rows(), by_rows ? l.in_features / tp() : l.in_features,
          by_columns ? l.out_features / tp() : l.out_features};
}

/// Columns of a layer's output that one rank holds.
std::int64_t LayerLowering::columns(int layer) const {
  const std::int64_t whole = layer_at(layer).out_features;
  return output_is_split(sharding(layer)) ? whole / tp() : whole;
}

std::vector<std::vector<TaskId>> LayerLowering::collective(CollectiveKind kind, const Cell& cell,
                                                           int layer, Cell::PerRank& values) {
  if (!setting_.options.communication) return std::vector<std::vector<TaskId>>(values.size());
  std::vector<Value*> pointers;
  for (Value& value : values) pointers.push_back(&value);
  return emitter_.collective(kind, emitter_.builder().stream_named("tensor_parallel"), pointers,
                             context(cell, layer, 0), layer_at(layer).name);
}

void LayerLowering::forward(Cell& cell, int layer) {
  switch (layer_at(layer).kind) {
    case LayerKind::linear:
      return forward_linear(cell, layer);
    case LayerKind::relu:
    case LayerKind::gelu:
      return forward_element_wise(cell, layer);
    case LayerKind::add:
      return forward_add(cell, layer);
    case LayerKind::layer_norm:
      return forward_layer_norm(cell, layer);
    case LayerKind::softmax_cross_entropy:
      return forward_loss(cell, layer);
    default:
      return;  // check() has refused it
  }
}

void LayerLowering::forward_linear(Cell& cell, int layer) {
  const std::vector<std::int32_t> tensors = setting_.model.parameters_of(LayerId{layer});
  const bool fused_bias = tensors.size() == 2 && sharding(layer) != Sharding::row;
  const std::vector<std::int64_t> shape = product_shape(layer);
  const bool gather = sharding(layer) == Sharding::column_gather;
  Cell::PerRank results;
  for (int t = 0; t < tp(); ++t) {
    std::vector<Value> reads{input(cell, layer)[static_cast<std::size_t>(t)],
                             parameter(cell, t, tensors[0])};
    if (fused_bias) reads.push_back(parameter(cell, t, tensors[1]));
    const std::int64_t own = shape[0] * shape[2];
    // A gathered result is computed straight into the rank's place among the others'.
    Value whole = gather ? fp32(cell, t, own * tp(), BufferCategory::communication)
                         : fp32(cell, t, own, BufferCategory::activation);
    Value result = part(whole, Bytes{gather ? kFloat * own * t : 0}, Bytes{kFloat * own});
    const OpKey key{.op = fused_bias ? "linear" : "matmul", .pass = Pass::forward, .shape = shape};
    emitter_.compute(context(cell, layer, t), key, reads, {&result});
    whole.ready = result.ready;
    results.push_back(std::move(whole));
  }
  if (gather) results = gather_columns(cell, layer, results);
  if (sharding(layer) == Sharding::row) reduce_rows(cell, layer, results);
  cell.outputs.push_back(std::move(results));
}

/// Adds up what the ranks computed from their rows of W, then the bias, in place.
void LayerLowering::reduce_rows(Cell& cell, int layer, Cell::PerRank& partial) {
  const auto released = collective(CollectiveKind::all_reduce, cell, layer, partial);
  const std::vector<std::int32_t> tensors = setting_.model.parameters_of(LayerId{layer});
  if (tensors.size() < 2) return;
  for (int t = 0; t < tp(); ++t) {
    const auto rank = static_cast<std::size_t>(t);
    const OpKey key{
        .op = "bias_add", .pass = Pass::forward, .shape = {rows(), layer_at(layer).out_features}};
    emitter_.compute(context(cell, layer, t), key, {partial[rank], parameter(cell, t, tensors[1])},
                     {&partial[rank]}, released[rank]);
  }
}

Cell::PerRank LayerLowering::gather_columns(Cell& cell, int layer, Cell::PerRank& packed) {
  collective(CollectiveKind::all_gather, cell, layer, packed);
  Cell::PerRank gathered;
  for (int t = 0; t < tp(); ++t) {
    const std::int64_t width = layer_at(layer).out_features;
    Value y = fp32(cell, t, rows() * width, BufferCategory::activation);
    const OpKey key{.op = "gather_columns", .pass = Pass::forward, .shape = {rows(), width, tp()}};
    emitter_.compute(context(cell, layer, t), key, {packed[static_cast<std::size_t>(t)]}, {&y});
    gathered.push_back(std::move(y));
  }
  return gathered;
}

void LayerLowering::forward_element_wise(Cell& cell, int layer) {
  Cell::PerRank results;
  for (int t = 0; t < tp(); ++t) {
    const std::int64_t count = rows() * columns(layer);
    Value y = fp32(cell, t, count, BufferCategory::activation);
    const OpKey key{
        .op = std::string(name(layer_at(layer).kind)), .pass = Pass::forward, .shape = {count}};
    emitter_.compute(context(cell, layer, t), key,
                     {input(cell, layer)[static_cast<std::size_t>(t)]}, {&y});
    results.push_back(std::move(y));
  }
  cell.outputs.push_back(std::move(results));
}

void LayerLowering::forward_add(Cell& cell, int layer) {
  Cell::PerRank results;
  for (int t = 0; t < tp(); ++t) {
    const auto rank = static_cast<std::size_t>(t);
    const std::int64_t count = rows() * columns(layer);
    Value y = fp32(cell, t, count, BufferCategory::activation);
    emitter_.compute(context(cell, layer, t),
                     {.op = "add", .pass = Pass::forward, .shape = {count}},
                     {input(cell, layer, 0)[rank], input(cell, layer, 1)[rank]}, {&y});
    results.push_back(std::move(y));
  }
  cell.outputs.push_back(std::move(results));
}

void LayerLowering::forward_layer_norm(Cell& cell, int layer) {
  const std::vector<std::int32_t> tensors = setting_.model.parameters_of(LayerId{layer});
  const std::int64_t width = layer_at(layer).out_features;
  Cell::PerRank results, statistics;
  for (int t = 0; t < tp(); ++t) {
    Value y = fp32(cell, t, rows() * width, BufferCategory::activation);
    Value moments = fp32(cell, t, 2 * rows(), BufferCategory::activation);
    emitter_.compute(context(cell, layer, t),
                     {.op = "layer_norm", .pass = Pass::forward, .shape = {rows(), width}},
                     {input(cell, layer)[static_cast<std::size_t>(t)],
                      parameter(cell, t, tensors[0]), parameter(cell, t, tensors[1])},
                     {&y, &moments});
    results.push_back(std::move(y));
    statistics.push_back(std::move(moments));
  }
  cell.saved[slot_of(cell, LayerId{layer})] = std::move(statistics);
  cell.outputs.push_back(std::move(results));
}

void LayerLowering::forward_loss(Cell& cell, int layer) {
  const std::int64_t classes = layer_at(layer).in_features;
  Cell::PerRank probabilities;
  for (int t = 0; t < tp(); ++t) {
    DeviceState& state = devices_[index(device(cell, t))];
    const Value labels =
        part(state.labels, Bytes{kFloat * rows() * cell.micro_batch}, Bytes{kFloat * rows()});
    Value p = fp32(cell, t, rows() * classes, BufferCategory::activation);
    Value loss = part(state.losses, Bytes{kFloat * cell.micro_batch}, Bytes{kFloat});
    emitter_.compute(
        context(cell, layer, t),
        {.op = "softmax_cross_entropy", .pass = Pass::forward, .shape = {rows(), classes}},
        {input(cell, layer)[static_cast<std::size_t>(t)], labels}, {&p, &loss});
    probabilities.push_back(std::move(p));
  }
  cell.saved[slot_of(cell, LayerId{layer})] = std::move(probabilities);
  cell.outputs.emplace_back();
}

}  // namespace foreplan
