#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/op_graph.hpp"

namespace foreplan {

/// What one layer of a transformer has that others of the same network may not have.
struct TransformerLayer {
  std::int64_t window = 0;        ///< a query sees so many keys at most; 0: all
  bool experts = false;           ///< a mixture of experts in the place of the MLP
  std::int64_t mlp_features = 0;  ///< inside the MLP; unread where there are experts
  bool plain_heads = false;  ///< neither rotary nor norms on the heads, whatever the others have
  friend auto operator<=>(const TransformerLayer&, const TransformerLayer&) = default;
};

/// Queries, keys and values by way of a narrow vector each (DeepSeek-V2, arXiv 2405.04434, section 2.1).
struct LatentAttention {
  std::int64_t query_rank = 0;  ///< 0: queries come straight from the input
  std::int64_t key_value_rank = 1;
  std::int64_t rotary_features =
      1;  ///< of a head's queries and keys; these keys are shared by all heads
};

struct TransformerAttention {
  std::int64_t heads = 1, kv_heads = 1;
  std::int64_t qk_features = 1, v_features = 1;  ///< of a head
  bool causal = true;
  bool rotary = false;
  bool qkv_bias = true, output_bias = true;
  bool head_norms = false;            ///< a norm on the queries and keys of each head
  bool head_norm_gain = true;         ///< Llama 4's have none
  std::int64_t distance_buckets = 0;  ///< T5: rows of the first layer's learned bias; 0: none
  std::optional<LatentAttention> latent{};
};

struct TransformerMlp {
  LayerKind activation = LayerKind::gelu;  ///< gated_silu and gated_gelu: with a gate beside `up`
  bool bias = true;
};

struct TransformerExperts {
  std::int64_t count = 1, top_k = 1;
  std::int64_t features = 1;         ///< inside an expert
  std::int64_t shared_features = 0;  ///< inside the experts that see every token, together; 0: none
  bool shared_gate = false;          ///< their result is weighted by a learned score (Qwen)
};

/// Where a dropout stands: only where training draws (a probability of 0 leaves the layer out).
struct TransformerDropouts {
  bool embedding = false;
  bool attention = false;  ///< on the probabilities
  bool residual = false;   ///< on what is added to the residual stream
  bool mlp = false;        ///< behind the MLP's activation
  bool output = false;     ///< behind the last norm
};

/// Square images cut into square patches, in the place of tokens.
struct TransformerImage {
  std::int64_t size = 1;   ///< pixels of a side
  std::int64_t patch = 1;  ///< pixels of a patch's side; what is left over at the rim is not read
  std::int64_t channels = 3;
};

/// What follows the last layer.
struct TransformerHead {
  bool norm = true;
  bool tied = true;  ///< its weights are the embedding's table
  bool bias = false;
  bool transform = false;  ///< BERT: linear, activation and norm before the vocabulary
  std::int64_t pair_classes =
      0;                     ///< BERT: a pooler and a second loss over so many classes; 0: none
  bool soft_cap = false;     ///< Gemma 2: tanh on the scores
  std::int64_t classes = 0;  ///< of images, from the class token
};

/// Everything that the families of transformers differ by.
struct TransformerShape {
  enum class Norm : std::uint8_t { layer_norm, layer_norm_without_shift, rms_norm };
  enum class NormPlace : std::uint8_t {
    before,  ///< x + f(norm(x))
    after,   ///< norm(x + f(x))
    around   ///< x + norm(f(norm(x)))
  };
  enum class Residual : std::uint8_t {
    sequential,         ///< the MLP reads what the attention has added to
    parallel,           ///< attention and MLP read the same x, each by its own norm
    parallel_one_norm,  ///< ... both by one norm
  };

  std::string name;
  std::int64_t hidden = 1;
  std::int64_t vocabulary = 1;
  std::int64_t embedding_features = 0;  ///< narrower than hidden: a linear follows; 0: as hidden
  std::int64_t learned_positions = 0;   ///< rows of the table; 0: none
  std::int64_t token_types = 0;
  bool embedding_norm = false;
  std::optional<TransformerImage> image{};
  Norm norm = Norm::layer_norm;
  NormPlace norm_place = NormPlace::before;
  Residual residual = Residual::sequential;
  TransformerAttention attention;
  TransformerMlp mlp;
  std::optional<TransformerExperts> experts{};
  TransformerDropouts dropouts;
  std::vector<TransformerLayer> layers;  ///< from the input on, one entry each
  /// T5: a second stack that writes target tokens and reads what `layers`, then an encoder, put out.
  std::vector<TransformerLayer> decoder_layers;
  TransformerHead head;
};

/// The network: block "embedding", the layers in a block for each class of equal ones, and block "head".
///
/// Token ids are the model's input, one a row; a sample of an encoder with a decoder has its source and
/// then its target tokens. Queries, keys and values are three linears, whether or not an implementation
/// fuses them; so are a gate and its `up`. BERT's pooler, the encoder's last norm and the decoder's
/// embedding are blocks of the role `bridge`.
/// @throws Error(invalid_argument) if sizes are < 1 or too large, heads do not divide, or a layer has
///   experts where the shape has none
OpGraph build_transformer(const TransformerShape& shape);

}  // namespace foreplan
