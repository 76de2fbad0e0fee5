#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/units.hpp"

namespace foreplan {

enum class LayerKind : std::uint8_t {
  linear,                 ///< y = x W + b, W [in_features, out_features]
  relu,                   ///< y = max(x, 0)
  gelu,                   ///< y = x Phi(x), exact (erf)
  layer_norm,             ///< over the features of a sample, with gain and bias, epsilon 1e-5
  add,                    ///< y = a + b
  softmax_cross_entropy,  ///< mean over the batch of -log softmax(x)[label]; the loss
};
std::string_view name(LayerKind kind);
std::optional<LayerKind> layer_kind_named(std::string_view name);
/// How many inputs a layer of this kind takes.
std::size_t operands(LayerKind kind);

enum class LayerId : std::int32_t {};
/// The widest layer and the most layers: the parameters of a graph then count in 64 bits.
inline constexpr std::int64_t kMostFeatures = 10'000'000;
inline constexpr std::size_t kMostLayers = 50'000;

inline constexpr LayerId kModelInput{-1};  ///< as an input of a layer: the samples

struct Layer {
  std::string name;
  LayerKind kind{};
  std::int64_t in_features = 0;   ///< of each input
  std::int64_t out_features = 0;  ///< of the output; softmax_cross_entropy: 1, the loss
  bool bias = true;               ///< linear only
};

/// A tensor that training learns.
struct Parameter {
  enum class Role : std::uint8_t { weight, bias, gain, shift };
  LayerId layer{};
  Role role{};
  std::int64_t rows = 1;     ///< weight: in_features; otherwise 1
  std::int64_t columns = 0;  ///< out_features
};

/// A network: layers as vertices of a directed acyclic graph, in topological order; shapes are per
/// sample, so one graph serves every batch size.
class OpGraph {
 public:
  /// @param inputs  of each layer: the layers whose outputs it takes, in operand order
  /// @throws Error(invalid_argument) naming the layer if widths disagree or lie outside 1 to kMostFeatures,
  ///   a name is empty, "input" or used twice, an input is missing or comes later (layers are
  ///   listed in topological order), the number of inputs is wrong, some output is never used for
  ///   the loss, there are more than
  ///   kMostLayers, or the last layer is not the only softmax_cross_entropy (the loss is the last layer
  ///   of the graph)
  OpGraph(std::string name, std::int64_t input_features, std::vector<Layer> layers,
          std::vector<std::vector<LayerId>> inputs);

  const std::string& name() const { return name_; }
  const std::string& source() const { return source_; }
  void set_source(std::string source) { source_ = std::move(source); }
  std::int64_t input_features() const { return input_features_; }
  std::int64_t classes() const { return layers_.back().in_features; }
  std::size_t size() const { return layers_.size(); }
  const Layer& layer(LayerId id) const { return layers_[static_cast<std::size_t>(id)]; }
  const std::vector<Layer>& layers() const { return layers_; }
  const std::vector<LayerId>& inputs(LayerId id) const;
  /// The layers that take this layer's output (kModelInput: the samples), in order of id; a layer
  /// that takes it twice stands twice.
  const std::vector<LayerId>& consumers(LayerId id) const;

  /// Layer by layer in order of id, weight before bias, gain before shift.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Indices into parameters() of one layer.
  std::vector<std::int32_t> parameters_of(LayerId id) const;
  /// How many numbers training learns.
  std::int64_t parameter_count() const;

 private:
  std::string name_;
  std::string source_;
  std::int64_t input_features_ = 0;
  std::vector<Layer> layers_;
  std::vector<std::vector<LayerId>> inputs_;
  std::vector<std::vector<LayerId>> consumers_;  ///< entry 0: of kModelInput
  std::vector<Parameter> parameters_;
};

}  // namespace foreplan
