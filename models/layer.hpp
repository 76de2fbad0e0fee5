#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace foreplan {

/// The kinds of layers. x is what comes in, y what goes out, row by row: a row is a position of a
/// sample (a token, a pixel), its numbers are its features.
enum class LayerKind : std::uint8_t {
  linear,                 ///< y = x W + b, W [in_features, out_features]
  relu,                   ///< y = max(x, 0)
  gelu,                   ///< y = x Phi(x), exact (erf)
  layer_norm,             ///< over the features of a row, with gain and shift (`bias`)
  add,                    ///< y = a + b
  softmax_cross_entropy,  ///< mean over the rows of the batch of -log softmax(x)[label]; a loss
  gelu_tanh,              ///< gelu by its tanh approximation
  silu,                   ///< y = x / (1 + exp(-x))
  tanh,                   ///< y = tanh(x)
  gated_silu,             ///< y = silu(gate) * up
  gated_gelu,             ///< y = gelu_tanh(gate) * up
  dropout,                ///< y = x * mask / (1 - p)
  rms_norm,               ///< over the features of a row, with gain; `groups` of features apart
  batch_norm,             ///< over the rows of the batch, a feature at a time, with gain and shift
  embedding,              ///< y = table[id]
  position_embedding,     ///< y = x + table[position]; also token types
  class_token,            ///< y = x with one learned row in front
  rotary,                 ///< pairs of features turned by an angle that grows with the position
  attention,              ///< y = softmax(q k^T / sqrt(d)) v, head by head
  select,                 ///< y = the first row of each sample
  conv2d,         ///< y = x * W + b, W [kernel height, width, in_features / groups, out_features]
  max_pool,       ///< the largest of a window
  average_pool,   ///< the mean of a window
  flatten,        ///< all rows of a sample as one
  concat,         ///< features side by side
  top_k,          ///< the `top_k` largest of the experts' scores, and their softmax
  dispatch,       ///< each row `top_k` times, sorted by expert
  expert_linear,  ///< y = x W_e + b_e, e the row's expert
  combine,        ///< the weighted sum of a row's `top_k` results
  relu_squared,   ///< y = max(x, 0)^2
};
std::string_view name(LayerKind kind);
std::optional<LayerKind> layer_kind_named(std::string_view name);

/// The lengths of the sequences of a batch, in tokens: of the one that a decoder or an encoder reads, and
/// of the one that the decoder behind an encoder writes.
struct SequenceLengths {
  std::int64_t source = 1;
  std::int64_t target = 1;
};

/// How many rows a sample has: fixed + source * (source tokens) + target * (target tokens). So one graph
/// serves every length.
struct Positions {
  std::int64_t fixed = 1;
  std::int64_t source = 0;
  std::int64_t target = 0;

  std::int64_t count(const SequenceLengths& lengths) const {
    return fixed + source * lengths.source + target * lengths.target;
  }
  friend bool operator==(const Positions&, const Positions&) = default;
};
inline constexpr Positions kSourceTokens{.fixed = 0, .source = 1};
inline constexpr Positions kTargetTokens{.fixed = 0, .target = 1};

/// attention: q [heads, qk_features], k [kv_heads, qk_features - shared_key_features] and, the same for
/// all heads, shared_key_features more, v [kv_heads, v_features].
struct AttentionShape {
  std::int64_t heads = 1, kv_heads = 1;
  std::int64_t qk_features = 1, v_features = 1;  ///< of a head
  std::int64_t shared_key_features = 0;          ///< DeepSeek's rotary part of the keys
  bool causal = true;
  std::int64_t window = 0;     ///< a query sees so many keys at most; 0: all
  bool dropout = false;        ///< on the probabilities
  std::int64_t bias_rows = 0;  ///< T5: a learned bias [bias_rows, heads] by distance

  /// How many of `keys` a query looks at.
  std::int64_t seen(std::int64_t keys) const { return window > 0 && window < keys ? window : keys; }
};

/// conv2d and pools.
struct SpatialShape {
  std::int64_t in_height = 1, in_width = 1;
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride = 1;
  std::int64_t padding_height = 0, padding_width = 0;
  std::int64_t groups = 1;

  std::int64_t out_height() const {
    return (in_height + 2 * padding_height - kernel_height) / stride + 1;
  }
  std::int64_t out_width() const {
    return (in_width + 2 * padding_width - kernel_width) / stride + 1;
  }
};

/// top_k, dispatch, expert_linear, combine.
struct ExpertShape {
  std::int64_t experts = 1;
  std::int64_t top_k = 1;
};

/// embedding, position_embedding: rows of the table.
struct TableShape {
  std::int64_t rows = 1;
};

/// rms_norm, layer_norm: the features fall into groups, each normalised alone with the same gain.
struct NormShape {
  std::int64_t groups = 1;
  bool gain = true;  ///< rms_norm alone may have none
};

using LayerShape =
    std::variant<std::monostate, AttentionShape, SpatialShape, ExpertShape, TableShape, NormShape>;

enum class LayerId : std::int32_t {};
/// The widest layer and the most layers: the parameters of a graph then count in 64 bits.
inline constexpr std::int64_t kMostFeatures = 10'000'000;
inline constexpr std::size_t kMostLayers = 50'000;

inline constexpr LayerId kModelInput{-1};  ///< as an input of a layer: the samples
inline constexpr LayerId kBlockInput{
    -2};  ///< as an input inside a block: what the block before put out

/// The layer listed behind this one.
constexpr LayerId layer_after(LayerId id) { return LayerId{static_cast<std::int32_t>(id) + 1}; }

struct Layer {
  std::string name;
  LayerKind kind{};
  std::int64_t in_features = 0;   ///< of the first input
  std::int64_t out_features = 0;  ///< of the output; softmax_cross_entropy: 1, the loss
  bool bias = true;               ///< linear, conv2d, expert_linear: b; layer_norm: the shift
  Positions positions{};          ///< rows of the output, a sample
  LayerShape shape{};             ///< of the kinds that have one
  /// linear: the weights are this embedding's table, transposed; embedding: the table is this one's.
  /// There are none of its own.
  std::optional<LayerId> tied_to{};
};

/// The layer's shape of this type.
/// @throws Error(invalid_argument) naming the layer if it has another
template <typename Shape>
const Shape& shape_of(const Layer& layer);

/// Groups of features that a norm normalises apart; 1 for every other layer.
std::int64_t norm_groups(const Layer& layer);

/// How many inputs a layer may have.
struct OperandCount {
  std::size_t least = 1, most = 1;
};
OperandCount operand_count(LayerKind kind);
/// The width of input `operand` of the layer; empty where any will do (concat).
std::optional<std::int64_t> operand_features(const Layer& layer, std::size_t operand);

/// A tensor that training learns.
struct Parameter {
  enum class Role : std::uint8_t { weight, bias, gain, shift, table };
  LayerId layer{};
  Role role{};
  std::int64_t rows = 1;  ///< weight: in_features (conv2d: times the kernel, over the groups;
                          ///< expert_linear: of all experts, one behind the other); table: its rows
  std::int64_t columns = 0;  ///< out_features
};

/// The parameters of one layer: weight before bias, gain before shift.
std::vector<Parameter> parameters_of(const Layer& layer, LayerId id);

}  // namespace foreplan
