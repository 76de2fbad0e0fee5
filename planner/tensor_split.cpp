#include "planner/tensor_split.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "planner/ceil_div.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

std::size_t place(LayerId id) { return static_cast<std::size_t>(id); }

/// Whether a rank can do its features or heads of the layer without the others'.
bool splittable(const Layer& layer) {
  switch (layer.kind) {
    case LayerKind::relu:
    case LayerKind::gelu:
    case LayerKind::gelu_tanh:
    case LayerKind::silu:
    case LayerKind::relu_squared:
    case LayerKind::tanh:
    case LayerKind::gated_silu:
    case LayerKind::gated_gelu:
    case LayerKind::rotary:
    case LayerKind::dropout:
    case LayerKind::batch_norm:
    case LayerKind::max_pool:
    case LayerKind::average_pool:
    case LayerKind::attention:
      return true;
    case LayerKind::layer_norm:
    case LayerKind::rms_norm:
      return norm_groups(layer) > 1;
    default:
      return false;
  }
}

/// Whether `input` is the part of the keys that all heads share: no rank can do without it.
bool is_shared_key(const OpGraph& model, LayerId layer, LayerId input) {
  if (model.layer(layer).kind != LayerKind::attention) return false;
  const std::vector<LayerId>& inputs = model.inputs(layer);
  return inputs.size() == 4 && inputs[3] == input;
}

class Splitter {
 public:
  Splitter(const OpGraph& model, LayerId first, LayerId last, int tp, bool whole_experts)
      : model_(model),
        first_(first),
        last_(last),
        tp_(tp),
        whole_experts_(whole_experts),
        shardings_(model.size(), Sharding::replicated) {}

  std::vector<Sharding> split() {
    for (LayerId id = first_; id <= last_; id = layer_after(id)) {
      shardings_[place(id)] = sharding_of(id);
      check(id);
    }
    return std::move(shardings_);
  }

 private:
  bool is_product(LayerKind kind) const {
    if (kind == LayerKind::expert_linear) return !whole_experts_;
    return kind == LayerKind::linear || kind == LayerKind::conv2d;
  }

  bool output_split(LayerId id) const {
    return id >= first_ && output_is_split(shardings_[place(id)]);
  }

  Sharding sharding_of(LayerId id) const {
    const Layer& layer = model_.layer(id);
    if (tp_ == 1) return Sharding::replicated;
    const bool split_input = output_split(model_.inputs(id).front());
    if (is_product(layer.kind)) {
      if (split_input) return Sharding::row;
      return feeds_loss(id) || leads_to_products(id) ? Sharding::column : Sharding::replicated;
    }
    if (layer.kind == LayerKind::embedding) return Sharding::row;
    return split_input ? Sharding::split : Sharding::replicated;
  }

  bool feeds_loss(LayerId id) const {
    const std::vector<LayerId>& to = model_.consumers(id);
    return !to.empty() && std::all_of(to.begin(), to.end(), [&](LayerId c) {
      return model_.layer(c).kind == LayerKind::softmax_cross_entropy;
    });
  }

  bool leads_to_products(LayerId id) const {
    const std::vector<LayerId>& to = model_.consumers(id);
    if (to.empty() || id == last_) return false;
    return std::all_of(to.begin(), to.end(), [&](LayerId consumer) {
      if (consumer > last_ || is_shared_key(model_, consumer, id)) return false;
      if (is_product(model_.layer(consumer).kind)) return true;
      return splittable(model_.layer(consumer)) && leads_to_products(consumer);
    });
  }

  void check(LayerId id) const {
    const Layer& layer = model_.layer(id);
    const Sharding sharding = shardings_[place(id)];
    if (layer.kind == LayerKind::softmax_cross_entropy || feeds_loss(id)) return;
    if (sharding == Sharding::row && layer.kind != LayerKind::embedding) {
      divide(layer, layer.in_features, "input features");
    }
    if (output_is_split(sharding)) divide(layer, layer.out_features, "output features");
    if (sharding != Sharding::split) return;
    if (const auto* attention = std::get_if<AttentionShape>(&layer.shape)) {
      divide(layer, attention->heads, "heads");
      divide(layer, attention->kv_heads, "key and value heads");
    }
    if (norm_groups(layer) > 1) divide(layer, norm_groups(layer), "heads");
  }

  void divide(const Layer& layer, std::int64_t number, const char* what) const {
    if (number % tp_ == 0) return;
    reject(fmt::format("strategy: tp={} does not divide the {} {} of layer '{}'", tp_, number, what,
                       layer.name));
  }

  const OpGraph& model_;
  LayerId first_, last_;
  int tp_;
  bool whole_experts_;
  std::vector<Sharding> shardings_;
};

void shard_shape(Layer& layer, int tp) {
  if (auto* attention = std::get_if<AttentionShape>(&layer.shape)) {
    attention->heads /= tp;
    attention->kv_heads /= tp;
  } else if (auto* norm = std::get_if<NormShape>(&layer.shape)) {
    norm->groups = std::max<std::int64_t>(1, norm->groups / tp);
  }
}

/// Grouped convolutions are cut by groups where there are enough.
void shard_groups(Layer& layer, int tp) {
  auto* spatial = std::get_if<SpatialShape>(&layer.shape);
  if (spatial != nullptr) spatial->groups = std::max<std::int64_t>(1, spatial->groups / tp);
}

}  // namespace

std::vector<Sharding> split_tensors(const OpGraph& model, LayerId first, LayerId last, int tp,
                                    bool whole_experts) {
  return Splitter(model, first, last, tp, whole_experts).split();
}

Layer sharded(const Layer& layer, Sharding sharding, int tp) {
  Layer mine = layer;
  switch (sharding) {
    case Sharding::replicated:
      break;
    case Sharding::column:
    case Sharding::column_gather:
      mine.out_features = ceil_div(layer.out_features, tp);
      shard_groups(mine, tp);
      break;
    case Sharding::row:
      if (auto* table = std::get_if<TableShape>(&mine.shape)) {
        table->rows = ceil_div(table->rows, tp);
      } else {
        mine.in_features = ceil_div(layer.in_features, tp);
        shard_groups(mine, tp);
      }
      break;
    case Sharding::split:
      mine.in_features = ceil_div(layer.in_features, tp);
      if (layer.kind != LayerKind::softmax_cross_entropy) {
        mine.out_features = ceil_div(layer.out_features, tp);
      }
      shard_shape(mine, tp);
  }
  return mine;
}

std::vector<RegionEdge> entering_edges(const OpGraph& model, LayerId first, LayerId last,
                                       const std::vector<Sharding>& shardings) {
  std::vector<RegionEdge> edges;
  for (LayerId id = first; id <= last; id = layer_after(id)) {
    const Sharding sharding = shardings[place(id)];
    if (!output_is_split(sharding) && sharding != Sharding::column_gather) continue;
    for (const LayerId input : model.inputs(id)) {
      const bool split = input >= LayerId{0} && output_is_split(shardings[place(input)]);
      if (input == kModelInput || split) continue;
      auto edge = std::find_if(edges.begin(), edges.end(),
                               [&](const RegionEdge& e) { return e.producer == input; });
      if (edge == edges.end()) edge = edges.insert(edge, {.producer = input, .consumers = {}});
      edge->consumers.push_back(id);
    }
  }
  return edges;
}

std::vector<LayerId> leaving_layers(LayerId first, LayerId last,
                                    const std::vector<Sharding>& shardings) {
  std::vector<LayerId> layers;
  for (LayerId id = first; id <= last; id = layer_after(id)) {
    if (shardings[place(id)] == Sharding::row) layers.push_back(id);
  }
  return layers;
}

}  // namespace foreplan
