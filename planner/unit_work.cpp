#include "planner/unit_work.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "models/op_cost.hpp"
#include "planner/ceil_div.hpp"
#include "planner/executed_work.hpp"
#include "planner/fused_experts.hpp"
#include "planner/tensor_split.hpp"
#include "planner/unit_casts.hpp"
#include "planner/unit_memory.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

std::size_t place(LayerId id) { return static_cast<std::size_t>(id); }

/// Rows of a sequence that is cut into `parts`; whatever has no sequence is not cut.
Positions times(const Positions& rows, std::int64_t factor) {
  return {.fixed = rows.fixed, .source = rows.source * factor, .target = rows.target * factor};
}

class UnitLowering {
 public:
  UnitLowering(const OpGraph& model, const UnitRange& range, const UnitSetting& setting)
      : model_(model),
        range_(range),
        setting_(setting),
        shardings_(shardings(model, range, setting)) {
    check_lengths();
  }

  UnitWork lower() {
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) add_layer(id);
    execute_unit(model_, range_, setting_, shardings_, work_);
    if (setting_.products == DType::fp8) {
      add_casts(model_,
                {.dtype = setting_.dtype,
                 .cached_weights = setting_.stack.cached_fp8_weights,
                 .saved_inputs = setting_.stack.saved_fp8_inputs,
                 .scaling = setting_.stack.fp8_scaling},
                work_);
    }
    if (kernels().fused_experts) {
      fuse_experts(model_, setting_.dtype, setting_.products.value_or(setting_.dtype), work_);
    }
    if (setting_.tp > 1) add_tensor_exchanges();
    if (setting_.cp > 1) add_context_exchanges();
    if (setting_.ep > 1) add_expert_exchanges();
    if (setting_.memory) add_memory(model_, range_, setting_, shardings_, work_);
    if (setting_.stack.selective == SelectiveRecompute::operations) note_recomputed();
    work_.leaving = tensor_bytes(range_.last);
    return std::move(work_);
  }

 private:
  const KernelFeatures& kernels() const { return setting_.stack.kernels; }
  /// What runs is shared as the runtime shares it.
  static std::vector<Sharding> shardings(const OpGraph& model, const UnitRange& range,
                                         const UnitSetting& setting) {
    const bool whole_experts = setting.whole_experts;
    if (!model.flat()) {
      return split_tensors(model, range.first, range.last, setting.tp, whole_experts);
    }
    if (is_executable(model) && setting.split_from == LayerId{0}) return shard(model, setting.tp);
    return split_tensors(model, setting.split_from, LayerId(model.size() - 1), setting.tp,
                         whole_experts);
  }

  Sharding sharding(LayerId id) const { return shardings_[place(id)]; }
  bool inside(LayerId id) const { return id >= range_.first && id <= range_.last; }

  void check_lengths() const {
    const Positions& rows = model_.input_positions();
    if ((setting_.sp || setting_.cp > 1) && rows.source + rows.target == 0) {
      reject(fmt::format("strategy: sp and cp cut sequences, but {} has none", model_.name()));
    }
    const std::int64_t parts = setting_.cp * (setting_.sp ? setting_.tp : 1);
    const auto check = [&](std::int64_t used, std::int64_t length) {
      if (used == 0 || length % parts == 0) return;
      reject(fmt::format("strategy: cp={}{} does not divide the sequence of {} tokens", setting_.cp,
                         setting_.sp ? fmt::format(" with sp over tp={}", setting_.tp) : "",
                         length));
    };
    check(rows.source, setting_.lengths.source);
    check(rows.target, setting_.lengths.target);
  }

  /// Lengths as a rank sees them: in a region that tensor parallelism splits by features, or, with
  /// sequence parallelism, outside of it.
  SequenceLengths lengths(bool in_split_region) const {
    const std::int64_t parts = setting_.cp * (setting_.sp && !in_split_region ? setting_.tp : 1);
    return {.source = ceil_div(setting_.lengths.source, parts),
            .target = ceil_div(setting_.lengths.target, parts)};
  }
  Sizing sizing(bool in_split_region) const {
    return {.samples = setting_.samples,
            .lengths = lengths(in_split_region),
            .dtype = setting_.dtype,
            .products = setting_.products,
            .fused_attention = setting_.stack.fused_attention};
  }

  /// Whether a layer sees all the rows of the rank's context, cut by features.
  bool in_split_region(LayerId id) const { return sharding(id) != Sharding::replicated; }

  Layer mine(LayerId id) const {
    Layer layer = sharded(model_.layer(id), sharding(id), setting_.tp);
    const bool bias_behind = sharding(id) == Sharding::row && layer.kind == LayerKind::linear;
    if (bias_behind) layer.bias = false;
    if (setting_.ep == 1) return layer;
    if (auto* experts = std::get_if<ExpertShape>(&layer.shape);
        experts != nullptr && layer.kind == LayerKind::expert_linear) {
      if (experts->experts % setting_.ep != 0) {
        reject(fmt::format("strategy: ep={} does not divide the {} experts of layer '{}'",
                           setting_.ep, experts->experts, layer.name));
      }
      experts->experts /= setting_.ep;
    }
    return layer;
  }

  /// Whether the ranks of cp cut an attention by its heads.
  bool by_heads(LayerId id) const {
    return setting_.cp > 1 && setting_.stack.context_heads &&
           model_.layer(id).kind == LayerKind::attention;
  }

  /// A rank's part of the heads, with all of the sequence.
  Layer heads_of_context(Layer layer) const {
    auto& heads = std::get<AttentionShape>(layer.shape);
    if (heads.heads % setting_.cp != 0 || heads.kv_heads % setting_.cp != 0) {
      reject(
          fmt::format("strategy: cp={} does not divide the {} heads and {} key heads of layer "
                      "'{}', and the stack exchanges heads",
                      setting_.cp, heads.heads, heads.kv_heads, layer.name));
    }
    heads.heads /= setting_.cp;
    heads.kv_heads /= setting_.cp;
    layer.in_features /= setting_.cp;
    layer.out_features /= setting_.cp;
    layer.positions = times(layer.positions, setting_.cp);
    return layer;
  }

  std::vector<Positions> operands(LayerId id) const {
    std::vector<Positions> rows = model_.operand_positions(id);
    if (model_.layer(id).kind != LayerKind::attention) return rows;
    // Queries are of the rank's part of the sequence, keys and values of all of it, unless heads are cut.
    for (std::size_t i = by_heads(id) ? 0 : 1; i < rows.size(); ++i) {
      rows[i] = times(rows[i], setting_.cp);
    }
    return rows;
  }

  bool fp8(LayerId id) const {
    return setting_.products == DType::fp8 && multiplies_fp8(model_, id);
  }

  void add_layer(LayerId id) {
    const Layer layer = mine(id);
    Sizing sizing = this->sizing(in_split_region(id));
    if (sizing.products == DType::fp8 && !fp8(id)) sizing.products.reset();
    LayerWork work{
        .layer = id,
        .ops = layer_ops(by_heads(id) ? heads_of_context(layer) : layer, operands(id), sizing),
        .recomputed_selectively = layer.kind == LayerKind::attention};
    if (sharding(id) == Sharding::row) add_bias_behind(id, work.ops);
    if (sharding(id) == Sharding::column_gather) add_gathered_columns(id, work.ops);
    if (!model_.needs_input_gradient(id)) work.ops.backward_input.clear();
    for (const Parameter& p : parameters_of(layer, id)) work.parameters += p.rows * p.columns;
    work_.layers.push_back(std::move(work));
    Layer parts = layer;
    parts.bias = model_.layer(id).bias;
    for (const Parameter& parameter : parameters_of(parts, id)) {
      const bool expert = layer.kind == LayerKind::expert_linear;
      const std::int64_t numbers = parameter.rows * parameter.columns;
      (expert ? work_.expert_parameters : work_.dense_parameters) += numbers;
      if (fp8(id) && parameter.role == Parameter::Role::weight) work_.fp8_parameters += numbers;
    }
    if (layer.tied_to && !inside(*layer.tied_to) && is_first_reader(id, *layer.tied_to)) {
      const auto* table = std::get_if<TableShape>(&layer.shape);
      const std::int64_t rows = table != nullptr ? table->rows : layer.in_features;
      work_.tied_parameters += rows * layer.out_features;
    }
  }

  /// Of the layers that share a table with one far before them: those behind are on its stage, as a decoder's
  /// embedding and its head.
  bool is_first_reader(LayerId id, LayerId table) const {
    for (LayerId before = layer_after(table); before < id; before = layer_after(before)) {
      if (model_.layer(before).tied_to == table) return false;
    }
    return true;
  }

  Op whole_op(const char* name, Pass pass, std::vector<std::int64_t> shape) const {
    return make_op({.op = name, .pass = pass, .shape = std::move(shape), .dtype = setting_.dtype});
  }

  /// The bias of a product cut by rows is added to the sum of all ranks' products.
  void add_bias_behind(LayerId id, LayerOps& ops) const {
    const Layer& layer = model_.layer(id);
    if (layer.kind != LayerKind::linear || !layer.bias) return;
    const Sizing whole = sizing(false);
    const std::int64_t rows = whole.samples * layer.positions.count(whole.lengths);
    ops.forward.push_back(whole_op("bias_add", Pass::forward, {rows, layer.out_features}));
    if (kernels().fused_elementwise && !is_executable(model_)) {
      // Part of what adds the residual behind it.
      ops.forward.back().traffic = Bytes{};
      ops.forward.back().launches = 0;
    }
    ops.backward_weight.push_back(
        whole_op("bias_add", Pass::backward_weight, {rows, layer.out_features}));
  }

  void add_gathered_columns(LayerId id, LayerOps& ops) const {
    const Layer& layer = model_.layer(id);
    const std::int64_t rows = setting_.samples * layer.positions.count(lengths(true));
    const std::vector<std::int64_t> shape{rows, layer.out_features, setting_.tp};
    ops.forward.push_back(whole_op("gather_columns", Pass::forward, shape));
    // The gradient's own columns are taken out for both gradients.
    ops.backward_weight.push_back(whole_op("gather_columns", Pass::backward_input, shape));
  }

  /// A tensor in the region that is not split, all rows of the rank's context.
  Bytes whole_bytes(std::int64_t positions, std::int64_t features) const {
    return setting_.samples * positions * features * element_size(setting_.dtype);
  }
  Bytes tensor_bytes(LayerId id) const {
    const Layer& layer = model_.layer(id);
    return whole_bytes(layer.positions.count(lengths(true)), layer.out_features);
  }

  Bytes operand_bytes(LayerId id, LayerId producer) const {
    const std::vector<LayerId>& inputs = model_.inputs(id);
    const auto operand = static_cast<std::size_t>(
        std::find(inputs.begin(), inputs.end(), producer) - inputs.begin());
    const std::int64_t features =
        operand_features(model_.layer(id), operand).value_or(model_.layer(id).out_features);
    return whole_bytes(model_.operand_positions(id)[operand].count(lengths(true)), features);
  }

  void exchange(CollectiveKind kind, Axis axis, Pass pass, LayerId layer, Bytes bytes,
                std::vector<LayerId> beside = {}) {
    work_.exchanges.push_back({.kind = kind,
                               .axis = axis,
                               .pass = pass,
                               .layer = layer,
                               .bytes = bytes,
                               .copies = 1,
                               .beside = std::move(beside)});
  }

  /// Of what all of `readers` multiply in fp8, a byte a number.
  Bytes gathered(Bytes bytes, const std::vector<LayerId>& readers) const {
    if (!setting_.stack.fp8_gathers) return bytes;
    if (!std::all_of(readers.begin(), readers.end(), [&](LayerId id) { return fp8(id); })) {
      return bytes;
    }
    return Bytes{bytes.count / element_size(setting_.dtype).count};
  }

  void add_tensor_exchanges() {
    using enum CollectiveKind;
    for (const RegionEdge& edge : entering_edges(model_, range_.first, range_.last, shardings_)) {
      const LayerId layer = edge.consumers.front();
      const Bytes bytes = operand_bytes(layer, edge.producer);
      if (setting_.sp) {
        exchange(all_gather, Axis::tensor, Pass::forward, layer, gathered(bytes, edge.consumers),
                 edge.consumers);
        exchange(reduce_scatter, Axis::tensor, Pass::backward_input, layer, bytes, edge.consumers);
      } else {
        exchange(all_reduce, Axis::tensor, Pass::backward_input, layer, bytes, edge.consumers);
      }
    }
    for (const LayerId layer : leaving_layers(range_.first, range_.last, shardings_)) {
      const Bytes bytes = tensor_bytes(layer);
      exchange(setting_.sp ? reduce_scatter : all_reduce, Axis::tensor, Pass::forward, layer, bytes,
               {layer});
      if (setting_.sp) {
        exchange(all_gather, Axis::tensor, Pass::backward_input, layer, bytes, {layer});
      }
    }
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      if (sharding(id) != Sharding::column_gather) continue;
      exchange(all_gather, Axis::tensor, Pass::forward, id, tensor_bytes(id));
    }
    add_loss_exchanges();
  }

  /// Of each row the largest logit, the sum of exponentials and the label's logit, in fp32.
  void add_loss_exchanges() {
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      if (model_.layer(id).kind != LayerKind::softmax_cross_entropy) continue;
      if (sharding(id) != Sharding::split) continue;
      const std::int64_t rows = setting_.samples * model_.layer(id).positions.count(lengths(true));
      for (int i = 0; i < 3; ++i) {
        exchange(CollectiveKind::all_reduce, Axis::tensor, Pass::forward, id, Bytes{4 * rows});
      }
    }
  }

  /// Ring attention: keys and values go around; backward they do again, and their gradients.
  /// Source: Liu, Zaharia and Abbeel, Ring Attention, arXiv:2310.01889.
  void add_context_exchanges() {
    using enum CollectiveKind;
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      const Layer& layer = model_.layer(id);
      if (layer.kind == LayerKind::conv2d) {
        reject(fmt::format("strategy: cp > 1 cannot cut layer '{}', which has no sequence",
                           layer.name));
      }
      if (layer.kind != LayerKind::attention) continue;
      if (by_heads(id)) {
        exchange_heads(id);
        continue;
      }
      Bytes bytes;
      const Layer own = mine(id);
      for (std::size_t operand = 1; operand < model_.inputs(id).size(); ++operand) {
        const std::int64_t rows = operands(id)[operand].count(lengths(true));
        bytes += whole_bytes(rows, operand_features(own, operand).value_or(0));
      }
      exchange(all_gather, Axis::context, Pass::forward, id, bytes, {id});
      exchange(all_gather, Axis::context, Pass::backward_input, id, bytes, {id});
      exchange(reduce_scatter, Axis::context, Pass::backward_input, id, bytes, {id});
    }
  }

  /// Queries, keys and values of the rank's tokens for its heads' of all tokens, and the outcome back; their
  /// gradients the other way round.
  /// Source: Jacobs et al., DeepSpeed Ulysses, arXiv:2309.14509, section 3.
  void exchange_heads(LayerId id) {
    const Layer own = mine(id);
    const std::vector<Positions> rows = model_.operand_positions(id);
    Bytes read;
    for (std::size_t operand = 0; operand < rows.size(); ++operand) {
      read += whole_bytes(rows[operand].count(lengths(true)),
                          operand_features(own, operand).value_or(0));
    }
    const Bytes written = whole_bytes(own.positions.count(lengths(true)), own.out_features);
    for (const Pass pass : {Pass::forward, Pass::backward_input}) {
      exchange(CollectiveKind::all_to_all, Axis::context, pass, id, read);
      exchange(CollectiveKind::all_to_all, Axis::context, pass, id, written);
    }
  }

  /// Rows travel to their experts and back, forward and backward.
  void add_expert_exchanges() {
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      const LayerKind kind = model_.layer(id).kind;
      if (kind != LayerKind::dispatch && kind != LayerKind::combine) continue;
      const auto* experts = std::get_if<ExpertShape>(&model_.layer(id).shape);
      // What weighs shared experts goes nowhere.
      if (experts == nullptr || experts->experts == 1) continue;
      const LayerId rows = kind == LayerKind::dispatch ? id : model_.inputs(id).front();
      const Layer& layer = model_.layer(rows);
      const Bytes bytes = whole_bytes(layer.positions.count(lengths(false)), layer.out_features);
      for (const Pass pass : {Pass::forward, Pass::backward_input}) {
        exchange(CollectiveKind::all_to_all, Axis::expert, pass, id, bytes);
        work_.exchanges.back().copies = static_cast<int>(experts->top_k);
      }
    }
  }

  /// Selective recomputation of operations: all layers but attention and every second product.
  void note_recomputed() {
    bool kept = true;
    for (LayerWork& work : work_.layers) {
      const LayerKind kind = model_.layer(work.layer).kind;
      const bool product = kind == LayerKind::linear;
      work.recomputed_selectively = !(product && kept) && kind != LayerKind::attention;
      if (product) kept = !kept;
    }
  }

  const OpGraph& model_;
  UnitRange range_;
  UnitSetting setting_;
  std::vector<Sharding> shardings_;
  UnitWork work_;
};

}  // namespace

UnitWork lower_unit(const OpGraph& model, const UnitRange& range, const UnitSetting& setting) {
  return UnitLowering(model, range, setting).lower();
}

}  // namespace foreplan
