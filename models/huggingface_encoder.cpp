// Networks with an encoder: BERT, RoBERTa, T5, ViT.

#include <vector>

#include "models/huggingface_config.hpp"

namespace foreplan {
namespace {

using Norm = TransformerShape::Norm;
using NormPlace = TransformerShape::NormPlace;

const std::vector<KeyNames> kSizes{
    {"hidden_size"}, {"num_hidden_layers"}, {"num_attention_heads"}, {"intermediate_size"}};

std::vector<KeyNames> sizes_and(std::vector<KeyNames> more) {
  std::vector<KeyNames> all = kSizes;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// What BERT, RoBERTa and ViT have in common; `drops`: the class's probability of dropout.
TransformerShape read_encoder(HuggingfaceConfig& c, double drops) {
  TransformerShape shape;
  shape.hidden = c.size({"hidden_size"});
  const std::int64_t heads = c.size({"num_attention_heads"});
  const std::int64_t features = c.head_features(shape.hidden, heads);
  shape.attention = {.heads = heads,
                     .kv_heads = heads,
                     .qk_features = features,
                     .v_features = features,
                     .causal = false};
  shape.mlp.activation = c.activation({"hidden_act"}, "gelu");
  shape.layers.assign(static_cast<std::size_t>(c.layers({"num_hidden_layers"})),
                      {.mlp_features = c.size({"intermediate_size"})});
  const bool hidden = c.drops({"hidden_dropout_prob"}, drops);
  shape.dropouts = {.embedding = hidden,
                    .attention = c.drops({"attention_probs_dropout_prob"}, drops),
                    .residual = hidden};
  return shape;
}

TransformerShape read_roberta(HuggingfaceConfig& c) {
  TransformerShape shape = read_encoder(c, 0.1);
  if (c.text({"position_embedding_type"}, "absolute") != "absolute") {
    c.find({"position_embedding_type"})->expected("\"absolute\"");
  }
  shape.vocabulary = c.size({"vocab_size"});
  shape.learned_positions = c.size({"max_position_embeddings"}, 512);
  shape.token_types = c.size({"type_vocab_size"}, 2);
  shape.embedding_norm = true;
  shape.norm_place = NormPlace::after;
  shape.head = {
      .norm = false, .tied = c.flag("tie_word_embeddings", true), .bias = true, .transform = true};
  return shape;
}

/// BERT's pre-training: masked words, and whether one sentence follows another.
TransformerShape read_bert(HuggingfaceConfig& c) {
  TransformerShape shape = read_roberta(c);
  shape.head.pair_classes = 2;
  return shape;
}

std::int64_t labels(HuggingfaceConfig& c) {
  if (c.has({"num_labels"})) return c.size({"num_labels"});
  const auto names = c.find({"id2label"});
  if (!names || names->is_null()) return 2;
  const auto count = static_cast<std::int64_t>(names->object().entries().size());
  if (count < 1) names->expected("at least one label");
  return count;
}

TransformerShape read_vit(HuggingfaceConfig& c) {
  TransformerShape shape = read_encoder(c, 0);
  shape.image = TransformerImage{.size = c.size({"image_size"}, 224),
                                 .patch = c.size({"patch_size"}, 16),
                                 .channels = c.size({"num_channels"}, 3)};
  const std::int64_t side = shape.image->size / shape.image->patch;
  shape.learned_positions = side * side + 1;
  shape.attention.qkv_bias = c.flag("qkv_bias", true);
  shape.head = {.tied = false, .classes = labels(c)};
  return shape;
}

/// `relu`, or `gated-gelu` for an MLP with a gate.
LayerKind read_projection(HuggingfaceConfig& c) {
  const std::string text = c.text({"feed_forward_proj"}, "relu");
  const bool gated = text.starts_with("gated-");
  const auto kind = gated ? gated_activation_named(text.substr(6)) : activation_named(text);
  if (kind) return *kind;
  c.find({"feed_forward_proj"})
      ->expected(known_activations(false) + ", or one of gelu and silu behind \"gated-\"");
}

TransformerShape read_t5(HuggingfaceConfig& c) {
  TransformerShape shape;
  shape.norm = Norm::rms_norm;
  shape.hidden = c.size({"d_model", "hidden_size"});
  shape.vocabulary = c.size({"vocab_size"});
  const std::int64_t heads = c.size({"num_heads", "num_attention_heads"});
  const std::int64_t features = c.size({"d_kv"});
  shape.attention = {.heads = heads,
                     .kv_heads = heads,
                     .qk_features = features,
                     .v_features = features,
                     .causal = false,
                     .qkv_bias = false,
                     .output_bias = false,
                     .distance_buckets = c.size({"relative_attention_num_buckets"}, 32)};
  shape.mlp = {.activation = read_projection(c), .bias = false};
  const TransformerLayer layer{.mlp_features = c.size({"d_ff"})};
  shape.layers.assign(static_cast<std::size_t>(c.layers({"num_layers", "num_hidden_layers"})),
                      layer);
  const bool symmetric = !c.has({"num_decoder_layers"});
  shape.decoder_layers.assign(
      symmetric ? shape.layers.size() : static_cast<std::size_t>(c.layers({"num_decoder_layers"})),
      layer);
  const bool drops = c.drops({"dropout_rate"}, 0.1);
  shape.dropouts = {
      .embedding = drops, .attention = drops, .residual = drops, .mlp = drops, .output = drops};
  shape.head.tied = c.flag("tie_word_embeddings", true);
  return shape;
}

}  // namespace

std::span<const HuggingfaceFamily> encoder_families() {
  static const std::vector<HuggingfaceFamily> kFamilies{
      {"bert", sizes_and({{"vocab_size"}}), read_bert},
      {"roberta", sizes_and({{"vocab_size"}}), read_roberta},
      {"t5",
       {{"d_model", "hidden_size"},
        {"num_layers", "num_hidden_layers"},
        {"num_heads", "num_attention_heads"},
        {"vocab_size"},
        {"d_kv"},
        {"d_ff"}},
       read_t5},
      {"vit", kSizes, read_vit},
  };
  return kFamilies;
}

}  // namespace foreplan
