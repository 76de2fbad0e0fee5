// Llama and those built like it: RMS norms, rotary positions, an MLP with a gate; with or without experts.

#include <fmt/format.h>

#include <set>
#include <vector>

#include "models/huggingface_config.hpp"

namespace foreplan {
namespace {

using Norm = TransformerShape::Norm;
using NormPlace = TransformerShape::NormPlace;

const std::vector<KeyNames> kSizes{{"hidden_size"},
                                   {"num_hidden_layers"},
                                   {"num_attention_heads"},
                                   {"vocab_size"},
                                   {"intermediate_size"}};

std::vector<KeyNames> sizes_and(std::vector<KeyNames> more) {
  std::vector<KeyNames> all = kSizes;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// What the families' classes give to keys that are left out.
struct Defaults {
  std::int64_t kv_heads = 0;       ///< 0: as many as heads
  std::int64_t head_features = 0;  ///< 0: hidden over heads
  bool tied = false;
  const char* activation = "silu";
  KeyNames activation_names{"hidden_act"};
};

TransformerShape sized(HuggingfaceConfig& c, const Defaults& defaults) {
  TransformerShape shape;
  shape.norm = Norm::rms_norm;
  shape.hidden = c.size({"hidden_size"});
  shape.vocabulary = c.size({"vocab_size"});
  const std::int64_t heads = c.size({"num_attention_heads"});
  std::int64_t features = c.size({"head_dim"}, defaults.head_features);
  if (features == 0) features = c.head_features(shape.hidden, heads);
  const std::int64_t kv_heads = defaults.kv_heads > 0 ? defaults.kv_heads : heads;
  shape.attention = {.heads = heads,
                     .kv_heads = c.size({"num_key_value_heads"}, kv_heads),
                     .qk_features = features,
                     .v_features = features,
                     .rotary = true,
                     .qkv_bias = false,
                     .output_bias = false};
  shape.mlp = {.activation = c.gated_activation(defaults.activation_names, defaults.activation),
               .bias = false};
  shape.layers.assign(static_cast<std::size_t>(c.layers({"num_hidden_layers"})),
                      {.mlp_features = c.size({"intermediate_size"})});
  shape.dropouts.attention = c.drops({"attention_dropout"}, 0);
  shape.head.tied = c.flag("tie_word_embeddings", defaults.tied);
  return shape;
}

void read_attention_bias(HuggingfaceConfig& c, TransformerShape& shape) {
  shape.attention.qkv_bias = shape.attention.output_bias = c.flag("attention_bias", false);
}

/// A window on the layers that `layer_types` names, else on those that `slides` picks.
template <typename Slides>
void set_windows(HuggingfaceConfig& c, TransformerShape& shape, std::int64_t window,
                 Slides slides) {
  const std::vector<std::int64_t> given = c.windows(std::ssize(shape.layers), window);
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    shape.layers[i].window =
        given.empty() ? (slides(static_cast<std::int64_t>(i)) ? window : 0) : given[i];
  }
}

TransformerShape read_llama(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {});
  read_attention_bias(c, shape);
  shape.mlp.bias = c.flag("mlp_bias", false);
  return shape;
}

TransformerShape read_mistral(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 8});
  set_windows(c, shape, c.size_or_none({"sliding_window"}, 4096), [](auto) { return true; });
  return shape;
}

TransformerShape read_mixtral(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 8});
  set_windows(c, shape, c.size_or_none({"sliding_window"}, 0), [](auto) { return true; });
  shape.experts = TransformerExperts{.count = c.size({"num_local_experts", "num_experts"}),
                                     .top_k = c.size({"num_experts_per_tok"}),
                                     .features = c.size({"intermediate_size"})};
  for (TransformerLayer& layer : shape.layers) layer.experts = true;
  return shape;
}

std::int64_t qwen_window(HuggingfaceConfig& c) {
  return c.flag("use_sliding_window", false) ? c.size_or_none({"sliding_window"}, 4096) : 0;
}

void set_late_windows(HuggingfaceConfig& c, TransformerShape& shape) {
  const std::int64_t from = c.size_or_none({"max_window_layers"}, 28);
  set_windows(c, shape, qwen_window(c), [=](std::int64_t i) { return i >= from; });
}

TransformerShape read_qwen2(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 32});
  shape.attention.qkv_bias = true;
  set_late_windows(c, shape);
  return shape;
}

TransformerShape read_qwen3(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 32, .head_features = 128});
  read_attention_bias(c, shape);
  shape.attention.head_norms = true;
  set_late_windows(c, shape);
  return shape;
}

/// Every `decoder_sparse_step`th layer has experts, but for those of `mlp_only_layers`.
void set_expert_layers(HuggingfaceConfig& c, TransformerShape& shape) {
  const std::int64_t step = c.size({"decoder_sparse_step"}, 1);
  std::set<std::int64_t> dense;
  if (const auto listed = c.find({"mlp_only_layers"}); listed && !listed->is_null()) {
    for (const JsonValue& layer : listed->array()) dense.insert(layer.integer(0));
  }
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    shape.layers[i].experts = dense.count(layer) == 0 && (layer + 1) % step == 0;
  }
}

TransformerExperts read_experts(HuggingfaceConfig& c) {
  return {.count = c.size({"num_experts"}),
          .top_k = c.size({"num_experts_per_tok"}),
          .features = c.size({"moe_intermediate_size"})};
}

TransformerShape read_qwen2_moe(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 16});
  shape.attention.qkv_bias = c.flag("qkv_bias", true);
  const std::int64_t until = c.size_or_none({"max_window_layers"}, 28);
  set_windows(c, shape, qwen_window(c), [=](std::int64_t i) { return i % 2 == 0 && i < until; });
  shape.experts = read_experts(c);
  shape.experts->shared_features = c.size({"shared_expert_intermediate_size"});
  shape.experts->shared_gate = true;
  set_expert_layers(c, shape);
  return shape;
}

TransformerShape read_qwen3_moe(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 4});
  read_attention_bias(c, shape);
  shape.attention.head_norms = true;
  set_windows(c, shape, qwen_window(c), [](auto) { return true; });
  shape.experts = read_experts(c);
  set_expert_layers(c, shape);
  return shape;
}

TransformerShape read_gemma(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 16,
                                     .head_features = 256,
                                     .tied = true,
                                     .activation = "gelu_pytorch_tanh",
                                     .activation_names = {"hidden_activation", "hidden_act"}});
  read_attention_bias(c, shape);
  return shape;
}

TransformerShape read_gemma2(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 4,
                                     .head_features = 256,
                                     .tied = true,
                                     .activation = "gelu_pytorch_tanh",
                                     .activation_names = {"hidden_activation", "hidden_act"}});
  read_attention_bias(c, shape);
  shape.norm_place = NormPlace::around;
  set_windows(c, shape, c.size_or_none({"sliding_window"}, 4096),
              [](std::int64_t i) { return i % 2 == 0; });
  const auto cap = c.find({"final_logit_softcapping"});
  shape.head.soft_cap = !cap || (!cap->is_null() && cap->number(0) > 0);
  return shape;
}

TransformerShape read_phi3(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {});
  set_windows(c, shape, c.size_or_none({"sliding_window"}, 0), [](auto) { return true; });
  shape.dropouts.embedding = c.drops({"embd_pdrop"}, 0);
  shape.dropouts.residual = c.drops({"resid_pdrop"}, 0);
  return shape;
}

/// Llama 4: experts on the layers of `moe_layers`, else on every `interleave_moe_layer_step`th.
void set_interleaved_experts(HuggingfaceConfig& c, TransformerShape& shape) {
  if (const auto listed = c.find({"moe_layers"}); listed && !listed->is_null()) {
    for (const JsonValue& layer : listed->array()) {
      const std::int64_t i = layer.integer(0, std::ssize(shape.layers) - 1);
      shape.layers[static_cast<std::size_t>(i)].experts = true;
    }
    return;
  }
  const auto step = static_cast<std::size_t>(c.size({"interleave_moe_layer_step"}, 1));
  for (std::size_t i = step - 1; i < shape.layers.size(); i += step) shape.layers[i].experts = true;
}

/// Llama 4: heads are turned where `no_rope_layers` has a 1, else but on every
/// `no_rope_layer_interval`th layer. Those turned see the keys of their chunk alone: causal attention
/// counts as many for each query as a window of that length.
void set_turned_layers(HuggingfaceConfig& c, TransformerShape& shape) {
  const std::int64_t interval = c.size({"no_rope_layer_interval"}, 4);
  std::vector<bool> turned;
  if (const auto given = c.find({"no_rope_layers"}); given && !given->is_null()) {
    for (const JsonValue& one : given->array()) turned.push_back(one.integer(0, 1) == 1);
    if (!turned.empty() && turned.size() < shape.layers.size()) {
      given->expected(fmt::format("{} entries, one a layer", shape.layers.size()));
    }
  }
  const std::int64_t chunk = c.size_or_none({"attention_chunk_size"}, 8192);
  const std::vector<std::int64_t> windows =
      c.windows(std::ssize(shape.layers), chunk, "chunked_attention");
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    const bool turns =
        turned.empty() ? static_cast<std::int64_t>(i + 1) % interval != 0 : turned[i];
    shape.layers[i].plain_heads = !turns;
    shape.layers[i].window = windows.empty() ? (turns ? chunk : 0) : windows[i];
  }
}

TransformerShape read_llama4_text(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 8, .head_features = 128});
  read_attention_bias(c, shape);
  shape.attention.head_norms = c.flag("use_qk_norm", true);
  shape.attention.head_norm_gain = false;
  const std::int64_t features = c.size({"intermediate_size"});
  shape.experts = TransformerExperts{.count = c.size({"num_local_experts"}),
                                     .top_k = c.size({"num_experts_per_tok"}),
                                     .features = features,
                                     .shared_features = features};
  const std::int64_t dense = c.size({"intermediate_size_mlp"});
  for (TransformerLayer& layer : shape.layers) layer.mlp_features = dense;
  set_interleaved_experts(c, shape);
  set_turned_layers(c, shape);
  return shape;
}

/// Grok-1: a Mixtral with a norm behind each branch too, and a gelu gate.
TransformerShape read_grok1(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, {.kv_heads = 32, .tied = true, .activation = "gelu"});
  shape.norm_place = NormPlace::around;
  shape.experts = TransformerExperts{.count = c.size({"num_experts", "num_local_experts"}),
                                     .top_k = c.size({"num_experts_per_tok"}),
                                     .features = c.size({"intermediate_size"})};
  for (TransformerLayer& layer : shape.layers) layer.experts = true;
  return shape;
}

}  // namespace

std::span<const HuggingfaceFamily> llama_families() {
  static const std::vector<HuggingfaceFamily> kFamilies{
      {"llama", kSizes, read_llama},
      {"mistral", kSizes, read_mistral},
      {"mixtral", sizes_and({{"num_local_experts", "num_experts"}, {"num_experts_per_tok"}}),
       read_mixtral},
      {"qwen2", kSizes, read_qwen2},
      {"qwen2_moe",
       sizes_and({{"num_experts"},
                  {"num_experts_per_tok"},
                  {"moe_intermediate_size"},
                  {"shared_expert_intermediate_size"}}),
       read_qwen2_moe},
      {"qwen3", kSizes, read_qwen3},
      {"qwen3_moe",
       sizes_and({{"num_experts"}, {"num_experts_per_tok"}, {"moe_intermediate_size"}}),
       read_qwen3_moe},
      {"gemma", kSizes, read_gemma},
      {"gemma2", kSizes, read_gemma2},
      {"phi3", kSizes, read_phi3},
      {"llama4_text",
       sizes_and({{"num_local_experts"}, {"num_experts_per_tok"}, {"intermediate_size_mlp"}}),
       read_llama4_text},
      {"grok-1", sizes_and({{"num_experts", "num_local_experts"}, {"num_experts_per_tok"}}),
       read_grok1},
  };
  return kFamilies;
}

}  // namespace foreplan
