#include "tools/published_model.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "models/transformer.hpp"
#include "sim/error.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

using Norm = TransformerShape::Norm;
using NormPlace = TransformerShape::NormPlace;

std::int64_t needed(const std::optional<std::int64_t>& value, const char* key) {
  if (!value) reject(fmt::format("{} is not told", key));
  return *value;
}

std::int64_t multiple_above(std::int64_t value, std::int64_t factor) {
  return (value + factor - 1) / factor * factor;
}

/// Sizes, attention and layers all alike; what no kind differs in.
TransformerShape sized(const PublishedRow::Model& model) {
  TransformerShape shape;
  shape.name = model.name;
  shape.hidden = needed(model.hidden, "model.hidden");
  shape.vocabulary = needed(model.vocabulary, "model.vocab");
  const std::int64_t heads = needed(model.heads, "model.heads");
  shape.attention = {.heads = heads, .kv_heads = needed(model.kv_heads, "model.kv_heads")};
  const auto layers = static_cast<std::size_t>(needed(model.layers, "model.layers"));
  if (layers > 10'000) reject("model.layers: more than 10000");
  shape.layers.resize(layers);
  return shape;
}

void set_head_features(const PublishedRow::Model& model, TransformerShape& shape) {
  const std::int64_t features = needed(model.head_features, "model.head_dim");
  shape.attention.qk_features = shape.attention.v_features = features;
}

void set_mlp_features(const PublishedRow::Model& model, TransformerShape& shape) {
  const std::int64_t features = needed(model.mlp_features, "model.ffn");
  for (TransformerLayer& layer : shape.layers) layer.mlp_features = features;
}

void require_gate(const PublishedRow::Model& model, bool gated) {
  if (!model.gated_mlp) reject("model.gated_mlp is not told");
  if (*model.gated_mlp != gated) {
    reject(fmt::format("model.gated_mlp: expected {} of kind {}", gated, model.kind));
  }
}

TransformerShape gpt_shape(const PublishedRow& row, const PublishedSource& facts) {
  TransformerShape shape = sized(row.model);
  require_gate(row.model, false);
  set_head_features(row.model, shape);
  set_mlp_features(row.model, shape);
  const bool nemotron = row.model.name.starts_with("Nemotron");
  shape.attention.rotary = nemotron;
  shape.attention.qkv_bias = shape.attention.output_bias = shape.mlp.bias = !nemotron;
  // Nemotron's squared ReLU costs what a ReLU does: it is bound by memory.
  shape.mlp.activation = nemotron ? LayerKind::relu : LayerKind::gelu_tanh;
  shape.embedding_norm = facts.alibi;
  if (!nemotron && !facts.alibi) {
    shape.learned_positions = needed(row.model.sequence, "model.seq");
  }
  shape.dropouts = {
      .embedding = facts.dropout, .attention = facts.dropout, .residual = facts.dropout};
  shape.head.tied = facts.tied.value_or(!nemotron);
  return shape;
}

TransformerShape llama_shape(const PublishedRow& row, const PublishedSource& facts) {
  TransformerShape shape = sized(row.model);
  require_gate(row.model, true);
  shape.norm = Norm::rms_norm;
  shape.attention.rotary = true;
  shape.attention.qkv_bias = shape.attention.output_bias = false;
  shape.mlp = {.activation = LayerKind::gated_silu, .bias = false};
  shape.head.tied = facts.tied.value_or(false);
  return shape;
}

/// "MLA q_lora 1536 kv_lora 512 qk_nope 128 qk_rope 64 v 128"
void set_latent_attention(const std::string& text, TransformerAttention& attention) {
  long long query = 0, key_value = 0, plain = 0, turned = 0, v = 0;
  int end = 0;
  const int found =
      std::sscanf(text.c_str(), "MLA q_lora %lld kv_lora %lld qk_nope %lld qk_rope %lld v %lld%n",
                  &query, &key_value, &plain, &turned, &v, &end);
  if (found != 5 || end != static_cast<int>(text.size())) {
    reject(fmt::format("model.moe.attention: not understood: '{}'", text));
  }
  attention.qk_features = plain + turned;
  attention.v_features = v;
  attention.latent =
      LatentAttention{.query_rank = query, .key_value_rank = key_value, .rotary_features = turned};
}

/// Which layers have experts: all behind the dense ones, or every second.
void set_expert_layers(const PublishedExperts& experts, TransformerShape& shape) {
  const bool by_turns = experts.interleave == "every second layer";
  if (!experts.interleave.empty() && !by_turns) {
    reject(fmt::format("model.moe.interleave: not understood: '{}'", experts.interleave));
  }
  const std::int64_t dense =
      by_turns ? 0 : needed(experts.dense_layers, "model.moe.first_dense_layers");
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    shape.layers[i].experts = by_turns ? i % 2 == 1 : static_cast<std::int64_t>(i) >= dense;
  }
}

TransformerShape expert_shape(const PublishedRow& row, const PublishedSource& facts) {
  TransformerShape shape = llama_shape(row, facts);
  if (!row.model.experts) reject("model.moe is not told");
  const PublishedExperts& experts = *row.model.experts;
  if (experts.attention.empty()) {
    set_head_features(row.model, shape);
  } else {
    set_latent_attention(experts.attention, shape.attention);
  }
  shape.attention.head_norms = row.model.name.starts_with("Qwen3");
  const std::int64_t features = needed(experts.features, "model.moe.moe_ffn");
  shape.experts = TransformerExperts{
      .count = needed(experts.experts, "model.moe.experts"),
      .top_k = needed(experts.top_k, "model.moe.top_k"),
      .features = features,
      .shared_features = needed(experts.shared_experts, "model.moe.shared_experts") * features};
  set_expert_layers(experts, shape);
  for (TransformerLayer& layer : shape.layers) {
    if (!layer.experts) layer.mlp_features = needed(row.model.mlp_features, "model.ffn");
  }
  return shape;
}

TransformerShape bert_shape(const PublishedRow& row, const PublishedSource& facts) {
  TransformerShape shape = sized(row.model);
  require_gate(row.model, false);
  set_head_features(row.model, shape);
  set_mlp_features(row.model, shape);
  shape.attention.causal = false;
  shape.learned_positions = std::max<std::int64_t>(512, needed(row.model.sequence, "model.seq"));
  shape.token_types = 2;
  shape.embedding_norm = true;
  shape.norm_place = NormPlace::after;
  shape.dropouts = {
      .embedding = facts.dropout, .attention = facts.dropout, .residual = facts.dropout};
  shape.head = {.norm = false, .tied = true, .bias = true, .transform = true, .pair_classes = 2};
  return shape;
}

TransformerShape dense_llama_shape(const PublishedRow& row, const PublishedSource& facts) {
  TransformerShape shape = llama_shape(row, facts);
  set_head_features(row.model, shape);
  set_mlp_features(row.model, shape);
  return shape;
}

TransformerShape shape_of(const PublishedRow& row, const PublishedSource& facts) {
  const std::string& kind = row.model.kind;
  if (kind == "gpt") return gpt_shape(row, facts);
  if (kind == "llama") return dense_llama_shape(row, facts);
  if (kind == "moe") return expert_shape(row, facts);
  if (kind == "bert") return bert_shape(row, facts);
  reject(fmt::format("model.kind: foreplan has no {}", kind));
}

/// Megatron-LM pads the vocabulary so that each rank of tp has a multiple of 128 rows.
constexpr std::int64_t kVocabularyRows = 128;

std::int64_t shared_vocabulary(std::int64_t vocabulary, const PublishedSource& facts, int tp) {
  if (facts.vocabulary_cut) return vocabulary - vocabulary % tp;
  const std::int64_t megatron = tp > 1 ? kVocabularyRows * tp : 1;
  return multiple_above(vocabulary,
                        facts.vocabulary_multiple > 0 ? facts.vocabulary_multiple : megatron);
}

}  // namespace

OpGraph published_model(const PublishedRow& row, const PublishedSource& facts,
                        const PublishedSources& sources, int tp) {
  const auto known = sources.models.find(row.model.name);
  if (known != sources.models.end()) return load_model(known->second);
  TransformerShape shape = shape_of(row, facts);
  shape.vocabulary = shared_vocabulary(shape.vocabulary, facts, tp);
  // A sample's tokens see those of their own sample alone.
  for (TransformerLayer& layer : shape.layers) layer.window = facts.packed;
  return build_transformer(shape);
}

}  // namespace foreplan
