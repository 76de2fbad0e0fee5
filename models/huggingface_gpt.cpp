// GPT-2 and those built like it: norms with gain and shift, an MLP of two linears.

#include <fmt/format.h>

#include <vector>

#include "models/huggingface_config.hpp"

namespace foreplan {
namespace {

using Norm = TransformerShape::Norm;
using NormPlace = TransformerShape::NormPlace;
using Residual = TransformerShape::Residual;

/// The names of the four sizes that every family has.
struct SizeNames {
  KeyNames hidden, layers, heads, vocabulary{"vocab_size"};
  KeyNames
      head_features{};  ///< hidden over heads where it is left out or the family has no such key
};
const SizeNames kShortNames{.hidden = {"n_embd", "hidden_size"},
                            .layers = {"n_layer", "num_hidden_layers"},
                            .heads = {"n_head", "num_attention_heads"}};
const SizeNames kLongNames{
    .hidden = {"hidden_size"}, .layers = {"num_hidden_layers"}, .heads = {"num_attention_heads"}};
const SizeNames kNemotronNames{.hidden = {"hidden_size"},
                               .layers = {"num_hidden_layers"},
                               .heads = {"num_attention_heads"},
                               .head_features = {"head_dim"}};

std::vector<KeyNames> needed(const SizeNames& names, std::vector<KeyNames> more = {}) {
  std::vector<KeyNames> all{names.hidden, names.layers, names.heads, names.vocabulary};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// The sizes, all layers alike with 4 h inside the MLP.
TransformerShape sized(HuggingfaceConfig& c, const SizeNames& names) {
  TransformerShape shape;
  shape.hidden = c.size(names.hidden);
  shape.vocabulary = c.size(names.vocabulary);
  const std::int64_t heads = c.size(names.heads);
  const std::int64_t features = c.has(names.head_features) ? c.size(names.head_features)
                                                           : c.head_features(shape.hidden, heads);
  shape.attention = {
      .heads = heads, .kv_heads = heads, .qk_features = features, .v_features = features};
  shape.layers.assign(static_cast<std::size_t>(c.layers(names.layers)),
                      {.mlp_features = 4 * shape.hidden});
  return shape;
}

void set_mlp_features(TransformerShape& shape, std::int64_t features) {
  for (TransformerLayer& layer : shape.layers) layer.mlp_features = features;
}

TransformerShape read_gpt2(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kShortNames);
  shape.learned_positions = c.size({"n_positions", "max_position_embeddings"}, 1024);
  set_mlp_features(shape, c.size({"n_inner"}, 4 * shape.hidden));
  shape.mlp.activation = c.activation({"activation_function"}, "gelu_new");
  shape.dropouts = {.embedding = c.drops({"embd_pdrop"}, 0.1),
                    .attention = c.drops({"attn_pdrop"}, 0.1),
                    .residual = c.drops({"resid_pdrop"}, 0.1)};
  shape.head.tied = c.flag("tie_word_embeddings", true);
  return shape;
}

const SizeNames kNeoNames{.hidden = {"hidden_size"},
                          .layers = {"num_layers", "num_hidden_layers"},
                          .heads = {"num_heads", "num_attention_heads"}};

/// One of the library's patterns, `["global", "local"]`, as windows.
std::vector<std::int64_t> windows_of(const JsonValue& pattern, std::int64_t window) {
  std::vector<std::int64_t> windows;
  for (const JsonValue& type : pattern.array()) {
    const bool local = type.text() == "local";
    if (!local && type.text() != "global") type.expected("\"global\" or \"local\"");
    windows.push_back(local ? window : 0);
  }
  return windows;
}

/// `[[["global", "local"], 12]]`: the pattern twelve times over. Stops behind `most` layers.
std::vector<std::int64_t> expand(const JsonValue& types, std::int64_t window, std::size_t most) {
  std::vector<std::int64_t> windows;
  for (const JsonValue& entry : types.array()) {
    const std::vector<JsonValue> pair = entry.array();
    if (pair.size() != 2) entry.expected("a pattern and how often it stands");
    const std::vector<std::int64_t> pattern = windows_of(pair[0], window);
    const std::int64_t repeats = pair[1].integer(1, static_cast<std::int64_t>(most));
    for (std::int64_t i = 0; i < repeats && windows.size() <= most; ++i) {
      windows.insert(windows.end(), pattern.begin(), pattern.end());
    }
  }
  return windows;
}

/// Left out, the library's default: global and local by turns, in 24 layers.
void read_attention_types(HuggingfaceConfig& c, TransformerShape& shape) {
  const std::int64_t window = c.size({"window_size"}, 256);
  const std::size_t layers = shape.layers.size();
  const auto value = c.find({"attention_types"});
  const std::string what = fmt::format("a type for each of {} layers", layers);
  if (!value && layers != 24) {
    c.fail(fmt::format("expected the key \"attention_types\", {}, got none", what));
  }
  std::vector<std::int64_t> windows;
  if (value) windows = expand(*value, window, layers);
  for (std::size_t i = 0; !value && i < layers; ++i) windows.push_back(i % 2 == 0 ? 0 : window);
  if (windows.size() != layers) value->expected(what);
  for (std::size_t i = 0; i < layers; ++i) shape.layers[i].window = windows[i];
}

TransformerShape read_gpt_neo(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kNeoNames);
  shape.learned_positions = c.size({"max_position_embeddings"}, 2048);
  set_mlp_features(shape, c.size({"intermediate_size"}, 4 * shape.hidden));
  read_attention_types(c, shape);
  shape.attention.qkv_bias = false;
  shape.mlp.activation = c.activation({"activation_function"}, "gelu_new");
  shape.dropouts = {.embedding = c.drops({"embed_dropout"}, 0),
                    .attention = c.drops({"attention_dropout"}, 0),
                    .residual = c.drops({"resid_dropout"}, 0)};
  shape.head.tied = c.flag("tie_word_embeddings", true);
  return shape;
}

TransformerShape read_gpt_neox(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kLongNames);
  set_mlp_features(shape, c.size({"intermediate_size"}));
  shape.attention.rotary = true;
  shape.attention.qkv_bias = shape.attention.output_bias = c.flag("attention_bias", true);
  shape.mlp.activation = c.activation({"hidden_act"}, "gelu");
  const bool parallel = c.flag("use_parallel_residual", true);
  shape.residual = parallel ? Residual::parallel : Residual::sequential;
  const bool drops = c.drops({"hidden_dropout"}, 0);
  shape.dropouts = {
      .embedding = drops, .attention = c.drops({"attention_dropout"}, 0), .residual = drops};
  shape.head.tied = c.flag("tie_word_embeddings", false);
  return shape;
}

TransformerShape read_gptj(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kShortNames);
  set_mlp_features(shape, c.size({"n_inner"}, 4 * shape.hidden));
  shape.attention.rotary = true;
  shape.attention.qkv_bias = shape.attention.output_bias = false;
  shape.mlp.activation = c.activation({"activation_function"}, "gelu_new");
  shape.residual = Residual::parallel_one_norm;
  shape.dropouts = {.embedding = c.drops({"embd_pdrop"}, 0),
                    .attention = c.drops({"attn_pdrop"}, 0),
                    .residual = c.drops({"resid_pdrop"}, 0)};
  shape.head = {.tied = c.flag("tie_word_embeddings", false), .bias = true};
  return shape;
}

/// OPT's table of positions has two rows in front that no token uses (padding).
TransformerShape read_opt(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kLongNames);
  shape.learned_positions = c.size({"max_position_embeddings"}, 2048) + 2;
  shape.embedding_features = c.size({"word_embed_proj_dim"}, shape.hidden);
  set_mlp_features(shape, c.size({"ffn_dim"}));
  const bool bias = c.flag("enable_bias", true);
  shape.attention.qkv_bias = shape.attention.output_bias = bias;
  shape.mlp = {.activation = c.activation({"activation_function"}, "relu"), .bias = bias};
  const bool before = c.flag("do_layer_norm_before", true);
  shape.norm_place = before ? NormPlace::before : NormPlace::after;
  if (!c.flag("layer_norm_elementwise_affine", true)) {
    c.find({"layer_norm_elementwise_affine"})->expected("true");
  }
  shape.dropouts = {.attention = c.drops({"attention_dropout"}, 0),
                    .residual = c.drops({"dropout"}, 0.1)};
  shape.head = {.norm = before && !c.flag("_remove_final_layer_norm", false),
                .tied = c.flag("tie_word_embeddings", true)};
  return shape;
}

const SizeNames kBloomNames{.hidden = {"hidden_size", "n_embed"},
                            .layers = {"n_layer", "num_hidden_layers"},
                            .heads = {"n_head", "num_attention_heads"}};

TransformerShape read_bloom(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kBloomNames);
  shape.embedding_norm = true;
  shape.mlp.activation = LayerKind::gelu_tanh;
  shape.dropouts = {.attention = c.drops({"attention_dropout"}, 0),
                    .residual = c.drops({"hidden_dropout"}, 0)};
  shape.head.tied = c.flag("tie_word_embeddings", true);
  return shape;
}

const SizeNames kMptNames{.hidden = {"d_model", "hidden_size"},
                          .layers = {"n_layers", "num_hidden_layers"},
                          .heads = {"n_heads", "num_attention_heads"}};

/// Positions and biases as llm-foundry has them, whose port in the library knows neither.
TransformerShape read_mpt(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kMptNames);
  const auto object = c.find({"attn_config"});
  const bool given = object && !object->is_null();
  std::optional<HuggingfaceConfig> attention;
  if (given) attention.emplace(object->object());
  if (given && attention->flag("qk_ln", false)) attention->find({"qk_ln"})->expected("false");
  const bool alibi = !given || attention->flag("alibi", true);
  if (!alibi && c.flag("learned_pos_emb", true)) {
    shape.learned_positions = c.size({"max_seq_len"}, 2048);
  }
  const bool bias = !c.flag("no_bias", true);
  shape.norm = bias ? Norm::layer_norm : Norm::layer_norm_without_shift;
  shape.attention.qkv_bias = shape.attention.output_bias = bias;
  shape.mlp = {.activation = LayerKind::gelu, .bias = bias};
  set_mlp_features(shape, c.size({"expansion_ratio"}, 4) * shape.hidden);
  shape.dropouts = {.embedding = c.drops({"emb_pdrop"}, 0),
                    .attention = given && attention->drops({"attn_pdrop"}, 0),
                    .residual = c.drops({"resid_pdrop"}, 0)};
  shape.head.tied = c.flag("tie_word_embeddings", true);
  return shape;
}

const SizeNames kFalconNames{.hidden = {"hidden_size", "n_embed"},
                             .layers = {"num_hidden_layers", "n_layer"},
                             .heads = {"num_attention_heads", "n_head"}};

Residual falcon_residual(HuggingfaceConfig& c, bool new_architecture) {
  if (!c.flag("parallel_attn", true)) return Residual::sequential;
  const std::int64_t norms = c.size({"num_ln_in_parallel_attn"}, new_architecture ? 2 : 1);
  return norms == 2 ? Residual::parallel : Residual::parallel_one_norm;
}

TransformerShape read_falcon(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kFalconNames);
  const bool new_architecture = c.flag("new_decoder_architecture", false);
  const std::int64_t heads = shape.attention.heads;
  if (new_architecture) {
    shape.attention.kv_heads = c.size({"num_kv_heads", "n_head_kv"}, heads);
  } else {
    shape.attention.kv_heads = c.flag("multi_query", true) ? 1 : heads;
  }
  const bool bias = c.flag("bias", false);
  shape.attention.qkv_bias = shape.attention.output_bias = bias;
  shape.attention.rotary = !c.flag("alibi", false);
  shape.mlp = {.activation = c.activation({"activation"}, "gelu"), .bias = bias};
  set_mlp_features(shape, c.size({"ffn_hidden_size"}, 4 * shape.hidden));
  shape.residual = falcon_residual(c, new_architecture);
  shape.dropouts = {.attention = c.drops({"attention_dropout"}, 0),
                    .residual = c.drops({"hidden_dropout"}, 0)};
  shape.head.tied = c.flag("tie_word_embeddings", true);
  return shape;
}

TransformerShape read_phi(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kLongNames);
  set_mlp_features(shape, c.size({"intermediate_size"}));
  shape.attention.kv_heads = c.size({"num_key_value_heads"}, shape.attention.heads);
  shape.attention.rotary = true;
  shape.attention.head_norms = c.flag("qk_layernorm", false);
  shape.mlp.activation = c.activation({"hidden_act"}, "gelu_new");
  shape.residual = Residual::parallel_one_norm;
  shape.dropouts = {.embedding = c.drops({"embd_pdrop"}, 0),
                    .attention = c.drops({"attention_dropout"}, 0),
                    .residual = c.drops({"resid_pdrop"}, 0)};
  shape.head = {.tied = c.flag("tie_word_embeddings", false), .bias = true};
  return shape;
}

/// The norms' gain is stored less one ("LayerNorm1P"), which changes neither sizes nor costs.
TransformerShape read_nemotron(HuggingfaceConfig& c) {
  TransformerShape shape = sized(c, kNemotronNames);
  set_mlp_features(shape, c.size({"intermediate_size"}));
  TransformerAttention& attention = shape.attention;
  attention.kv_heads = c.size({"num_key_value_heads"}, attention.heads);
  attention.rotary = true;
  attention.qkv_bias = attention.output_bias = c.flag("attention_bias", false);
  shape.mlp = {.activation = c.activation({"hidden_act"}, "relu2"),
               .bias = c.flag("mlp_bias", false)};
  shape.dropouts.attention = c.drops({"attention_dropout"}, 0);
  shape.head.tied = c.flag("tie_word_embeddings", false);
  return shape;
}

}  // namespace

std::span<const HuggingfaceFamily> gpt_families() {
  static const std::vector<HuggingfaceFamily> kFamilies{
      {"gpt2", needed(kShortNames), read_gpt2},
      {"gpt_neo", needed(kNeoNames), read_gpt_neo},
      {"gpt_neox", needed(kLongNames, {{"intermediate_size"}}), read_gpt_neox},
      {"gptj", needed(kShortNames), read_gptj},
      {"opt", needed(kLongNames, {{"ffn_dim"}}), read_opt},
      {"bloom", needed(kBloomNames), read_bloom},
      {"mpt", needed(kMptNames), read_mpt},
      {"falcon", needed(kFalconNames), read_falcon},
      {"phi", needed(kLongNames, {{"intermediate_size"}}), read_phi},
      {"nemotron", needed(kNemotronNames, {{"intermediate_size"}}), read_nemotron},
  };
  return kFamilies;
}

}  // namespace foreplan
