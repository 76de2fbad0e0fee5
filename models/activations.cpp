#include "models/activations.hpp"

#include <algorithm>
#include <utility>

namespace foreplan {
namespace {

using Kind = SavedItem::Kind;

class Collector {
 public:
  Collector(const OpGraph& graph, const Sizing& sizing) : graph_(graph), sizing_(sizing) {}

  void visit(LayerId id) {
    const Layer& layer = graph_.layer(id);
    switch (layer.kind) {
      case LayerKind::linear:
      case LayerKind::conv2d:
      case LayerKind::expert_linear:
        return product(id);
      case LayerKind::gelu:
      case LayerKind::gelu_tanh:
      case LayerKind::silu:
      case LayerKind::relu_squared:
        return keep_input(id, 0);
      case LayerKind::gated_silu:
      case LayerKind::gated_gelu:
        keep_input(id, 0);
        keep_input(id, 1);
        if (sizing_.fused_activations) return;
        return keep(Kind::activated, id, (numbers(layer) * element_size(sizing_.dtype)).count);
      case LayerKind::combine:
        keep_input(id, 0);
        return keep_input(id, 1);
      case LayerKind::relu:
      case LayerKind::tanh:
        return keep_output(id, id);
      case LayerKind::layer_norm:
      case LayerKind::rms_norm:
      case LayerKind::batch_norm:
        keep_input(id, 0);
        return keep(Kind::statistics, id, 4 * norm_statistics(layer));
      case LayerKind::dropout:
        return keep(Kind::mask, id, numbers(layer));
      case LayerKind::attention:
        return attention(id, layer);
      case LayerKind::max_pool:
        return keep(Kind::statistics, id, 4 * numbers(layer));
      case LayerKind::top_k:
        keep_output(id, id);
        return keep(Kind::statistics, id, 4 * numbers(layer));
      case LayerKind::softmax_cross_entropy:
        if (sizing_.fused_loss) return keep_input(id, 0);
        return keep(Kind::probabilities, id, 4 * rows(layer) * layer.in_features);
      default:
        return;
    }
  }

  std::vector<SavedItem> items() && { return std::move(items_); }

 private:
  std::int64_t rows(const Layer& layer) const {
    return sizing_.samples * layer.positions.count(sizing_.lengths);
  }
  std::int64_t numbers(const Layer& layer) const { return rows(layer) * layer.out_features; }

  std::int64_t norm_statistics(const Layer& layer) const {
    if (layer.kind == LayerKind::batch_norm) return 2 * layer.out_features;
    return rows(layer) * norm_groups(layer) * (layer.kind == LayerKind::layer_norm ? 2 : 1);
  }

  void product(LayerId id) {
    narrow_ =
        sizing_.products == DType::fp8 && sizing_.saved_fp8_inputs && multiplies_fp8(graph_, id);
    keep_input(id, 0);
    narrow_ = false;
  }

  void attention(LayerId id, const Layer& layer) {
    for (std::size_t operand = 0; operand < graph_.inputs(id).size(); ++operand) {
      keep_input(id, operand);
    }
    const auto& s = shape_of<AttentionShape>(layer);
    if (sizing_.fused_attention) {
      keep_output(id, id);
      return keep(Kind::statistics, id, 4 * rows(layer) * s.heads);
    }
    const std::int64_t keys = graph_.operand_positions(id)[1].count(sizing_.lengths);
    const std::int64_t seen = s.seen(keys);
    const std::int64_t scores = rows(layer) * s.heads * seen;
    keep(Kind::probabilities, id, (scores * element_size(sizing_.dtype)).count);
    if (!s.dropout) return;
    keep(Kind::mask, id, scores);
    keep(Kind::probabilities, id, (scores * element_size(sizing_.dtype)).count);
  }

  void keep(Kind kind, LayerId id, std::int64_t bytes) {
    items_.push_back({.kind = kind, .owner = id, .producer = id, .bytes = {bytes}});
  }

  void keep_input(LayerId id, std::size_t operand) {
    LayerId from = graph_.inputs(id)[operand];
    if (from == kModelInput) return;
    if (from != kBlockInput) return keep_output(id, from);
    const std::int64_t features = operand_features(graph_.layer(id), operand).value_or(0);
    const std::int64_t count =
        sizing_.samples * graph_.operand_positions(id)[operand].count(sizing_.lengths) * features;
    keep_tensor(id, kBlockInput, count);
  }

  /// `producer`'s output; what is only seen in another shape is its input's memory.
  void keep_output(LayerId owner, LayerId producer) {
    while (graph_.layer(producer).kind == LayerKind::flatten) {
      const LayerId before = graph_.inputs(producer)[0];
      if (before == kModelInput) return;
      if (before == kBlockInput)
        return keep_tensor(owner, kBlockInput, numbers(graph_.layer(producer)));
      producer = before;
    }
    keep_tensor(owner, producer, numbers(graph_.layer(producer)));
  }

  void keep_tensor(LayerId owner, LayerId producer, std::int64_t count) {
    const Kind kind = narrow_ ? Kind::fp8_copy : Kind::tensor;
    const bool known = std::any_of(items_.begin(), items_.end(), [&](const SavedItem& item) {
      return item.kind == kind && item.producer == producer;
    });
    if (known) return;
    items_.push_back({.kind = kind,
                      .owner = owner,
                      .producer = producer,
                      .bytes = count * element_size(narrow_ ? DType::fp8 : sizing_.dtype)});
  }

  const OpGraph& graph_;
  const Sizing& sizing_;
  std::vector<SavedItem> items_;
  bool narrow_ = false;  ///< what is kept now is kept in fp8
};

}  // namespace

std::vector<SavedItem> saved_items(const OpGraph& graph, LayerId first, LayerId last,
                                   const Sizing& sizing) {
  Collector collector(graph, sizing);
  for (LayerId id = first; id <= last; id = layer_after(id)) {
    collector.visit(id);
  }
  return std::move(collector).items();
}

bool recomputed_selectively(const OpGraph& graph, const SavedItem& item) {
  return graph.layer(item.owner).kind == LayerKind::attention &&
         (item.kind == Kind::probabilities || item.kind == Kind::mask);
}

Bytes block_input(const OpGraph& graph, const Block& block, const Sizing& sizing) {
  for (LayerId id = block.first; id <= block.last; id = layer_after(id)) {
    const auto& inputs = graph.inputs(id);
    for (std::size_t operand = 0; operand < inputs.size(); ++operand) {
      if (inputs[operand] != kBlockInput) continue;
      const std::int64_t features = operand_features(graph.layer(id), operand).value_or(0);
      return sizing.samples * graph.operand_positions(id)[operand].count(sizing.lengths) *
             features * element_size(sizing.dtype);
    }
  }
  return {};
}

}  // namespace foreplan
