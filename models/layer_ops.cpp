#include "models/layer_ops.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "models/op_cost.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using Shape = std::vector<std::int64_t>;

/// Writes the ops of one layer.
class Writer {
 public:
  Writer(const Layer& layer, std::span<const Positions> operands, const Sizing& sizing)
      : layer_(layer), operands_(operands), sizing_(sizing), rows_(rows(layer.positions)) {}

  LayerOps write() && {
    switch (layer_.kind) {
      case LayerKind::linear:
        learned_product(layer_.bias ? "linear" : "matmul",
                        {rows_, layer_.in_features, layer_.out_features});
        break;
      case LayerKind::expert_linear:
        learned_product("expert_linear", {shape_of<ExpertShape>(layer_).experts, rows_,
                                          layer_.in_features, layer_.out_features});
        break;
      case LayerKind::conv2d:
        convolution();
        break;
      case LayerKind::attention:
        attention();
        break;
      case LayerKind::flatten:
        break;
      default:
        simple();
    }
    return std::move(ops_);
  }

 private:
  std::int64_t rows(const Positions& positions) const {
    return sizing_.samples * positions.count(sizing_.lengths);
  }

  void add(std::vector<Op>& ops, std::string op, Pass pass, Shape shape) const {
    add(ops, std::move(op), pass, std::move(shape), sizing_.dtype);
  }
  static void add(std::vector<Op>& ops, std::string op, Pass pass, Shape shape, DType dtype) {
    ops.push_back(
        make_op({.op = std::move(op), .pass = pass, .shape = std::move(shape), .dtype = dtype}));
  }
  void forward(const char* op, Shape shape) {
    add(ops_.forward, op, Pass::forward, std::move(shape));
  }
  void input(const char* op, Shape shape) {
    add(ops_.backward_input, op, Pass::backward_input, std::move(shape));
  }
  void weight(const char* op, Shape shape) {
    add(ops_.backward_weight, op, Pass::backward_weight, std::move(shape));
  }

  void learned_product(const char* op, const Shape& shape) {
    const DType dtype = sizing_.products.value_or(sizing_.dtype);
    add(ops_.forward, op, Pass::forward, shape, dtype);
    add(ops_.backward_input, op, Pass::backward_input, shape, dtype);
    add(ops_.backward_weight, op, Pass::backward_weight, shape, dtype);
  }

  /// What scores and values multiply: fp8 is of learned products alone.
  DType attention_type() const {
    return sizing_.products == DType::tf32 ? DType::tf32 : sizing_.dtype;
  }

  void convolution() {
    const auto& s = shape_of<SpatialShape>(layer_);
    learned_product(
        "conv2d", {sizing_.samples, s.in_height, s.in_width, layer_.in_features, s.out_height(),
                   s.out_width(), layer_.out_features, s.kernel_height, s.kernel_width, s.groups});
    if (!layer_.bias) return;
    forward("bias_add", {rows_, layer_.out_features});
    weight("bias_add", {rows_, layer_.out_features});
  }

  void attention() {
    const auto& s = shape_of<AttentionShape>(layer_);
    const std::int64_t keys = operands_[1].count(sizing_.lengths);
    const std::int64_t seen = s.seen(keys);
    const std::int64_t queries = layer_.positions.count(sizing_.lengths);
    if (!sizing_.fused_attention) return unfused_attention(s, queries, seen);
    const char* op = s.causal ? "causal_attention" : "attention";
    const Shape shape{sizing_.samples, s.heads,     s.kv_heads, queries, keys, seen,
                      s.qk_features,   s.v_features};
    add(ops_.forward, op, Pass::forward, shape, attention_type());
    add(ops_.backward_input, op, Pass::backward_input, shape, attention_type());
  }

  void unfused_attention(const AttentionShape& s, std::int64_t queries, std::int64_t seen) {
    const std::int64_t batch = sizing_.samples * s.heads;
    const Shape scores{batch, queries, s.qk_features, seen};
    const Shape values{batch, queries, seen, s.v_features};
    const Shape softmax{batch * queries, seen};
    const Shape mask{batch * queries * seen};
    const auto product = [&](std::vector<Op>& ops, Pass pass, const Shape& shape) {
      add(ops, "batched_matmul", pass, shape, attention_type());
    };
    product(ops_.forward, Pass::forward, scores);
    forward("softmax", softmax);
    if (s.dropout) forward("dropout", mask);
    product(ops_.forward, Pass::forward, values);
    product(ops_.backward_input, Pass::backward_input, values);
    product(ops_.backward_input, Pass::backward_weight, values);
    if (s.dropout) input("dropout", mask);
    input("softmax", softmax);
    product(ops_.backward_input, Pass::backward_input, scores);
    product(ops_.backward_input, Pass::backward_weight, scores);
  }

  /// Kinds of one op that has the layer's name.
  void simple() {
    const std::string op(name(layer_.kind));
    const Shape shape = simple_shape();
    add(ops_.forward, layer_.kind == LayerKind::concat ? "copy" : op, Pass::forward, shape);
    if (layer_.kind == LayerKind::concat) {
      add(ops_.backward_input, "copy", Pass::forward, shape);
    } else if (has_input_pass()) {
      input(op.c_str(), shape);
    }
    if (has_weight_pass()) weight(op.c_str(), shape);
  }

  Shape simple_shape() const {
    const std::int64_t n = layer_.out_features;
    switch (layer_.kind) {
      case LayerKind::layer_norm:
      case LayerKind::rms_norm: {
        const std::int64_t groups = norm_groups(layer_);
        return {rows_ * groups, n / groups};
      }
      case LayerKind::batch_norm:
        return {rows_, n};
      case LayerKind::softmax_cross_entropy:
        return {rows_, layer_.in_features};
      case LayerKind::embedding:
      case LayerKind::position_embedding:
        return {rows_, shape_of<TableShape>(layer_).rows, n};
      case LayerKind::class_token:
        return {sizing_.samples, layer_.positions.count(sizing_.lengths), n};
      case LayerKind::select:
        return {sizing_.samples, operands_[0].count(sizing_.lengths), n};
      case LayerKind::max_pool:
      case LayerKind::average_pool: {
        const auto& s = shape_of<SpatialShape>(layer_);
        return {rows(operands_[0]) * n, rows_ * n, s.kernel_height * s.kernel_width};
      }
      case LayerKind::top_k: {
        const auto& s = shape_of<ExpertShape>(layer_);
        return {rows_, s.experts, s.top_k};
      }
      case LayerKind::dispatch:
        return {rows(operands_[0]), shape_of<ExpertShape>(layer_).top_k, n};
      case LayerKind::combine:
        return {rows_, shape_of<ExpertShape>(layer_).top_k, n};
      default:
        return {rows_ * n};
    }
  }

  /// The gradient of a sum is handed on as it is; ids have none.
  bool has_input_pass() const {
    return layer_.kind != LayerKind::add && layer_.kind != LayerKind::embedding &&
           layer_.kind != LayerKind::position_embedding;
  }
  bool has_weight_pass() const {
    // A table that lies elsewhere, tied, gets its gradient from here too.
    if (layer_.kind == LayerKind::embedding) return true;
    return !parameters_of(layer_, LayerId{0}).empty() && layer_.kind != LayerKind::attention;
  }

  const Layer& layer_;
  std::span<const Positions> operands_;
  const Sizing& sizing_;
  std::int64_t rows_;
  LayerOps ops_;
};

void sum(const std::vector<Op>& ops, Flops& flops, Bytes& traffic) {
  for (const Op& op : ops) {
    flops += op.flops;
    traffic += op.traffic;
  }
}

}  // namespace

bool multiplies_fp8(const OpGraph& graph, LayerId id) {
  constexpr std::int64_t kFp8Group = 16;
  const Layer& layer = graph.layer(id);
  const bool linear = layer.kind == LayerKind::linear || layer.kind == LayerKind::expert_linear;
  if (!linear || layer.out_features % kFp8Group != 0) return false;
  const auto size = static_cast<std::int32_t>(graph.size());
  for (LayerId reader = layer_after(id); reader < LayerId{size}; reader = layer_after(reader)) {
    if (graph.layer(reader).kind != LayerKind::top_k) continue;
    if (graph.inputs(reader).front() == id) return false;
  }
  return true;
}

LayerOps layer_ops(const Layer& layer, std::span<const Positions> operands, const Sizing& sizing) {
  if (sizing.samples < 1 || sizing.lengths.source < 1 || sizing.lengths.target < 1) {
    reject("expected at least one sample and one token");
  }
  return Writer(layer, operands, sizing).write();
}

LayerOps layer_ops(const OpGraph& graph, LayerId id, const Sizing& sizing) {
  Sizing own = sizing;
  if (own.products == DType::fp8 && !multiplies_fp8(graph, id)) own.products.reset();
  LayerOps ops = layer_ops(graph.layer(id), graph.operand_positions(id), own);
  if (!graph.needs_input_gradient(id)) ops.backward_input.clear();
  return ops;
}

LayerCost layer_cost(const OpGraph& graph, LayerId id, DType dtype,
                     const SequenceLengths& lengths) {
  const Layer& layer = graph.layer(id);
  const LayerOps ops = layer_ops(graph, id, {.lengths = lengths, .dtype = dtype});
  LayerCost cost;
  for (const Parameter& parameter : parameters_of(layer, id)) {
    cost.parameters += parameter.rows * parameter.columns;
  }
  sum(ops.forward, cost.forward, cost.forward_traffic);
  sum(ops.backward_input, cost.backward_input, cost.backward_input_traffic);
  sum(ops.backward_weight, cost.backward_weight, cost.backward_weight_traffic);
  cost.activation = layer.positions.count(lengths) * layer.out_features * element_size(dtype);
  return cost;
}

Flops matrix_flops(const OpGraph& graph, const Sizing& sizing) {
  Flops total;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const LayerOps ops = layer_ops(graph, id, sizing);
    double once = 0;
    for (const auto* pass : {&ops.forward, &ops.backward_input, &ops.backward_weight}) {
      for (const Op& op : *pass) once += op.matrix.count;
    }
    total += Flops{once * static_cast<double>(graph.instances(id))};
  }
  return total;
}

}  // namespace foreplan
