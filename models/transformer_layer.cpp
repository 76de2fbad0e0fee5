#include "models/transformer_layer.hpp"

#include <fmt/format.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using Norm = TransformerShape::Norm;
using NormPlace = TransformerShape::NormPlace;
using Residual = TransformerShape::Residual;

bool gated(LayerKind activation) {
  return activation == LayerKind::gated_silu || activation == LayerKind::gated_gelu;
}

Positions times(const Positions& rows, std::int64_t copies) {
  return {
      .fixed = rows.fixed * copies, .source = rows.source * copies, .target = rows.target * copies};
}

}  // namespace

LayerId TransformerLayerWriter::norm(const std::string& name, LayerId x, std::int64_t features,
                                     const NormShape& shape) {
  Layer layer{.name = name,
              .kind = shape_.norm == Norm::rms_norm ? LayerKind::rms_norm : LayerKind::layer_norm,
              .in_features = features,
              .out_features = features,
              .bias = shape_.norm == Norm::layer_norm,
              .positions = rows_};
  if (shape.groups > 1 || !shape.gain) layer.shape = shape;
  return writer_.add(std::move(layer), {x});
}

LayerId TransformerLayerWriter::linear(const std::string& name, LayerId x, std::int64_t in,
                                       std::int64_t out, bool bias) {
  return writer_.add({.name = name,
                      .kind = LayerKind::linear,
                      .in_features = in,
                      .out_features = out,
                      .bias = bias,
                      .positions = rows_},
                     {x});
}

LayerId TransformerLayerWriter::unary(const std::string& name, LayerKind kind, LayerId x,
                                      std::int64_t features) {
  return writer_.add({.name = name,
                      .kind = kind,
                      .in_features = features,
                      .out_features = features,
                      .positions = rows_},
                     {x});
}

LayerId TransformerLayerWriter::add(const std::string& name, LayerId a, LayerId b) {
  return writer_.add({.name = name,
                      .kind = LayerKind::add,
                      .in_features = shape_.hidden,
                      .out_features = shape_.hidden,
                      .positions = rows_},
                     {a, b});
}

LayerId TransformerLayerWriter::dropout_if(bool drops, const std::string& name, LayerId x,
                                           std::int64_t features) {
  return drops ? unary(name, LayerKind::dropout, x, features) : x;
}

template <typename F>
LayerId TransformerLayerWriter::branch(const std::string& name, LayerId x, F f) {
  const NormPlace place = shape_.norm_place;
  if (place != NormPlace::after) x = norm(name + "_norm", x, shape_.hidden);
  x = f(x);
  if (place == NormPlace::around) x = norm(name + "_output_norm", x, shape_.hidden);
  return dropout_if(shape_.dropouts.residual, name + "_dropout", x, shape_.hidden);
}

template <typename F>
LayerId TransformerLayerWriter::residual(const std::string& name, LayerId x, F f) {
  const LayerId sum = add(name + "_add", x, branch(name, x, f));
  if (shape_.norm_place != NormPlace::after) return sum;
  return norm(name + "_norm", sum, shape_.hidden);
}

void TransformerLayerWriter::layer(const TransformerLayer& layer,
                                   const TransformerAttention& attention,
                                   std::optional<LayerId> encoder) {
  if (shape_.residual != Residual::sequential) {
    parallel(layer, attention);
    return;
  }
  LayerId x = residual("attention", kBlockInput,
                       [&](LayerId in) { return self_attention(in, layer, attention); });
  if (encoder) {
    x = residual("cross", x, [&](LayerId in) { return cross_attention(in, *encoder); });
  }
  residual("mlp", x, [&](LayerId in) { return feed_forward(in, layer); });
}

LayerId TransformerLayerWriter::parallel(const TransformerLayer& layer,
                                         const TransformerAttention& attention) {
  const LayerId x = norm("attention_norm", kBlockInput, shape_.hidden);
  LayerId read = self_attention(x, layer, attention);
  read = dropout_if(shape_.dropouts.residual, "attention_dropout", read, shape_.hidden);
  const bool one = shape_.residual == Residual::parallel_one_norm;
  LayerId thought = feed_forward(one ? x : norm("mlp_norm", kBlockInput, shape_.hidden), layer);
  thought = dropout_if(shape_.dropouts.residual, "mlp_dropout", thought, shape_.hidden);
  return add("add", kBlockInput, add("branches_add", read, thought));
}

AttentionShape TransformerLayerWriter::attention_shape(
    const TransformerLayer& layer, const TransformerAttention& attention) const {
  return {.heads = attention.heads,
          .kv_heads = attention.kv_heads,
          .qk_features = attention.qk_features,
          .v_features = attention.v_features,
          .shared_key_features = attention.latent ? attention.latent->rotary_features : 0,
          .causal = attention.causal,
          .window = layer.window,
          .dropout = shape_.dropouts.attention,
          .bias_rows = attention.distance_buckets};
}

LayerId TransformerLayerWriter::attention_layer(const std::string& name,
                                                const AttentionShape& shape,
                                                std::vector<LayerId> operands) {
  return writer_.add({.name = name,
                      .kind = LayerKind::attention,
                      .in_features = shape.heads * shape.qk_features,
                      .out_features = shape.heads * shape.v_features,
                      .positions = rows_,
                      .shape = shape},
                     std::move(operands));
}

/// Queries or keys: a linear, head norms, rotary.
LayerId TransformerLayerWriter::heads_of(const std::string& name, LayerId x, std::int64_t heads,
                                         const TransformerAttention& attention) {
  const std::int64_t features = heads * attention.qk_features;
  x = linear(name, x, shape_.hidden, features, attention.qkv_bias);
  if (attention.head_norms) {
    x = norm(name + "_norm", x, features, {.groups = heads, .gain = attention.head_norm_gain});
  }
  if (attention.rotary) x = unary(name + "_rotary", LayerKind::rotary, x, features);
  return x;
}

LayerId TransformerLayerWriter::self_attention(LayerId x, const TransformerLayer& layer,
                                               const TransformerAttention& attention) {
  if (attention.latent) return latent_attention(x, layer, attention);
  const LayerId q = heads_of("query", x, attention.heads, attention);
  const LayerId k = heads_of("key", x, attention.kv_heads, attention);
  const LayerId v = linear("value", x, shape_.hidden, attention.kv_heads * attention.v_features,
                           attention.qkv_bias);
  const LayerId y = attention_layer("attention", attention_shape(layer, attention), {q, k, v});
  return linear("output", y, attention.heads * attention.v_features, shape_.hidden,
                attention.output_bias);
}

LayerId TransformerLayerWriter::cross_attention(LayerId x, LayerId encoder) {
  TransformerAttention attention = shape_.attention;
  attention.causal = false;
  attention.distance_buckets = 0;
  const std::int64_t q_features = attention.heads * attention.qk_features;
  const std::int64_t v_features = attention.heads * attention.v_features;
  const LayerId q = linear("cross_query", x, shape_.hidden, q_features, attention.qkv_bias);
  TransformerLayerWriter source(shape_, writer_, kSourceTokens);
  const LayerId k = source.linear("cross_key", encoder, shape_.hidden,
                                  attention.kv_heads * attention.qk_features, attention.qkv_bias);
  const LayerId v = source.linear("cross_value", encoder, shape_.hidden,
                                  attention.kv_heads * attention.v_features, attention.qkv_bias);
  const LayerId y = attention_layer("cross_attention", attention_shape({}, attention), {q, k, v});
  return linear("cross_output", y, v_features, shape_.hidden, attention.output_bias);
}

LayerId TransformerLayerWriter::latent_queries(LayerId x, const TransformerAttention& attention) {
  const std::int64_t features = attention.heads * attention.qk_features;
  const std::int64_t rank = attention.latent->query_rank;
  if (rank == 0) {
    x = linear("query", x, shape_.hidden, features, false);
  } else {
    x = linear("query_down", x, shape_.hidden, rank, attention.qkv_bias);
    x = norm("query_norm", x, rank);
    x = linear("query_up", x, rank, features, false);
  }
  return unary("query_rotary", LayerKind::rotary, x, features);
}

LayerId TransformerLayerWriter::latent_attention(LayerId x, const TransformerLayer& layer,
                                                 const TransformerAttention& attention) {
  const LatentAttention& latent = *attention.latent;
  const LayerId q = latent_queries(x, attention);
  const LayerId down =
      linear("key_value_down", x, shape_.hidden, latent.key_value_rank, attention.qkv_bias);
  const LayerId shared =
      linear("shared_key", x, shape_.hidden, latent.rotary_features, attention.qkv_bias);
  const LayerId turned =
      unary("shared_key_rotary", LayerKind::rotary, shared, latent.rotary_features);
  const LayerId narrow = norm("key_value_norm", down, latent.key_value_rank);
  const LayerId k =
      linear("key_up", narrow, latent.key_value_rank,
             attention.heads * (attention.qk_features - latent.rotary_features), false);
  const LayerId v = linear("value_up", narrow, latent.key_value_rank,
                           attention.heads * attention.v_features, false);
  const LayerId y =
      attention_layer("attention", attention_shape(layer, attention), {q, k, v, turned});
  return linear("output", y, attention.heads * attention.v_features, shape_.hidden,
                attention.output_bias);
}

LayerId TransformerLayerWriter::feed_forward(LayerId x, const TransformerLayer& layer) {
  return layer.experts ? mixture(x) : mlp("", x, layer.mlp_features);
}

LayerId TransformerLayerWriter::mlp(const std::string& prefix, LayerId x, std::int64_t features) {
  const auto [activation, bias] = shape_.mlp;
  LayerId y = x;
  if (gated(activation)) {
    const LayerId gate = linear(prefix + "gate", x, shape_.hidden, features, bias);
    const LayerId up = linear(prefix + "up", x, shape_.hidden, features, bias);
    y = writer_.add({.name = prefix + "activation",
                     .kind = activation,
                     .in_features = features,
                     .out_features = features,
                     .positions = rows_},
                    {gate, up});
  } else {
    y = linear(prefix + "up", x, shape_.hidden, features, bias);
    y = unary(prefix + "activation", activation, y, features);
  }
  y = dropout_if(shape_.dropouts.mlp, prefix + "activation_dropout", y, features);
  return linear(prefix + "down", y, features, shape_.hidden, bias);
}

LayerId TransformerLayerWriter::expert_linear(const std::string& name, LayerId x, std::int64_t in,
                                              std::int64_t out) {
  return writer_.add({.name = name,
                      .kind = LayerKind::expert_linear,
                      .in_features = in,
                      .out_features = out,
                      .bias = shape_.mlp.bias,
                      .positions = times(rows_, shape_.experts->top_k),
                      .shape = ExpertShape{shape_.experts->count, shape_.experts->top_k}},
                     {x});
}

LayerId TransformerLayerWriter::mixture(LayerId x) {
  if (!shape_.experts) {
    reject(fmt::format("model {}: a layer has experts, but the shape has none", shape_.name));
  }
  const TransformerExperts& e = *shape_.experts;
  const ExpertShape experts{e.count, e.top_k};
  const LayerId scores = linear("router", x, shape_.hidden, e.count, false);
  const LayerId chosen = writer_.add({.name = "top_k",
                                      .kind = LayerKind::top_k,
                                      .in_features = e.count,
                                      .out_features = e.top_k,
                                      .positions = rows_,
                                      .shape = experts},
                                     {scores});
  const LayerId sent = route("dispatch", LayerKind::dispatch, experts, {x, chosen});
  const LayerId routed = route("combine", LayerKind::combine, experts, {expert_mlp(sent), chosen});
  return e.shared_features > 0 ? shared_experts(x, routed) : routed;
}

/// dispatch or combine: rows go to experts and come back.
LayerId TransformerLayerWriter::route(const std::string& name, LayerKind kind,
                                      const ExpertShape& experts, std::vector<LayerId> inputs) {
  const bool out = kind == LayerKind::dispatch;
  return writer_.add({.name = name,
                      .kind = kind,
                      .in_features = shape_.hidden,
                      .out_features = shape_.hidden,
                      .positions = out ? times(rows_, experts.top_k) : rows_,
                      .shape = experts},
                     std::move(inputs));
}

LayerId TransformerLayerWriter::expert_mlp(LayerId x) {
  const std::int64_t features = shape_.experts->features;
  const LayerKind activation = shape_.mlp.activation;
  std::vector<LayerId> inner;
  if (gated(activation)) inner.push_back(expert_linear("expert_gate", x, shape_.hidden, features));
  inner.push_back(expert_linear("expert_up", x, shape_.hidden, features));
  const LayerId y = writer_.add({.name = "expert_activation",
                                 .kind = activation,
                                 .in_features = features,
                                 .out_features = features,
                                 .positions = times(rows_, shape_.experts->top_k)},
                                std::move(inner));
  return expert_linear("expert_down", y, features, shape_.hidden);
}

/// A score for the shared experts weighs their result as combine does with one expert's.
LayerId TransformerLayerWriter::shared_experts(LayerId x, LayerId routed) {
  LayerId y = mlp("shared_", x, shape_.experts->shared_features);
  if (shape_.experts->shared_gate) {
    const LayerId score = linear("shared_score", x, shape_.hidden, 1, false);
    y = route("shared_weighted", LayerKind::combine, ExpertShape{1, 1}, {y, score});
  }
  return add("experts_add", routed, y);
}

}  // namespace foreplan
