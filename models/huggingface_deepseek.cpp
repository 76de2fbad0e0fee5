// DeepSeek-V2 and V3: latent attention, shared and routed experts behind a few dense layers.

#include <vector>

#include "models/huggingface_config.hpp"

namespace foreplan {
namespace {

/// What the two classes give to keys that are left out.
struct Defaults {
  std::int64_t dense_layers = 0;
  std::int64_t shared_experts = 1;
};

TransformerAttention read_attention(HuggingfaceConfig& c) {
  const std::int64_t heads = c.size({"num_attention_heads"});
  const std::int64_t turned = c.size({"qk_rope_head_dim"});
  const bool bias = c.flag("attention_bias", false);
  return {.heads = heads,
          .kv_heads = heads,
          .qk_features = c.size({"qk_nope_head_dim"}) + turned,
          .v_features = c.size({"v_head_dim"}),
          .rotary = true,
          .qkv_bias = bias,
          .output_bias = bias,
          .latent = LatentAttention{.query_rank = c.size_or_none({"q_lora_rank"}, 1536),
                                    .key_value_rank = c.size({"kv_lora_rank"}),
                                    .rotary_features = turned}};
}

TransformerShape read_deepseek(HuggingfaceConfig& c, const Defaults& defaults) {
  TransformerShape shape;
  shape.norm = TransformerShape::Norm::rms_norm;
  shape.hidden = c.size({"hidden_size"});
  shape.vocabulary = c.size({"vocab_size"});
  shape.attention = read_attention(c);
  shape.mlp = {.activation = c.gated_activation({"hidden_act"}, "silu"), .bias = false};
  const std::int64_t inside = c.size({"moe_intermediate_size"});
  const std::int64_t shared = c.size_or_none({"n_shared_experts"}, defaults.shared_experts);
  shape.experts =
      TransformerExperts{.count = c.size({"n_routed_experts", "num_experts", "num_local_experts"}),
                         .top_k = c.size({"num_experts_per_tok"}),
                         .features = inside,
                         .shared_features = shared * inside};
  const std::int64_t dense = c.size_or_none({"first_k_dense_replace"}, defaults.dense_layers);
  const std::int64_t step = c.size({"moe_layer_freq"}, 1);
  shape.layers.assign(static_cast<std::size_t>(c.layers({"num_hidden_layers"})),
                      {.mlp_features = c.size({"intermediate_size"})});
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    shape.layers[i].experts = layer >= dense && layer % step == 0;
  }
  shape.dropouts.attention = c.drops({"attention_dropout"}, 0);
  shape.head.tied = c.flag("tie_word_embeddings", false);
  return shape;
}

TransformerShape read_deepseek_v2(HuggingfaceConfig& c) {
  return read_deepseek(c, {.dense_layers = 0, .shared_experts = 2});
}

TransformerShape read_deepseek_v3(HuggingfaceConfig& c) {
  return read_deepseek(c, {.dense_layers = 3, .shared_experts = 1});
}

}  // namespace

std::span<const HuggingfaceFamily> deepseek_families() {
  static const std::vector<KeyNames> kNeeded{
      {"hidden_size"},
      {"num_hidden_layers"},
      {"num_attention_heads"},
      {"vocab_size"},
      {"intermediate_size"},
      {"moe_intermediate_size"},
      {"n_routed_experts", "num_experts", "num_local_experts"},
      {"num_experts_per_tok"},
      {"kv_lora_rank"},
      {"qk_nope_head_dim"},
      {"qk_rope_head_dim"},
      {"v_head_dim"}};
  static const std::vector<HuggingfaceFamily> kFamilies{{"deepseek_v2", kNeeded, read_deepseek_v2},
                                                        {"deepseek_v3", kNeeded, read_deepseek_v3}};
  return kFamilies;
}

}  // namespace foreplan
