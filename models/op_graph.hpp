#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/layer.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// What a block is to the network: pipelines cut it into stages between blocks, embedding with the first
/// stage and head with the last. A bridge is no layer of its own (a pooler, the last norm of an encoder, the
/// embedding of a decoder): it stays with the block before.
enum class BlockRole : std::uint8_t { embedding, layer, bridge, head };

/// Layers [first, last] that stand in the network together, perhaps many times: a class, not a copy.
struct Block {
  std::string name;
  LayerId first{}, last{};
  BlockRole role = BlockRole::layer;
  std::size_t size() const {
    return static_cast<std::size_t>(last) - static_cast<std::size_t>(first) + 1;
  }
};

/// `repeats` instances of a block, one behind the other.
struct Run {
  std::int32_t block = 0;  ///< into OpGraph::blocks()
  std::int32_t repeats = 1;
};

/// What an OpGraph is made of.
struct OpGraphParts {
  std::string name;
  std::int64_t input_features = 0;  ///< of a row of the samples; token ids: 1
  Positions input_positions{};      ///< rows of a sample
  std::vector<Layer> layers;
  /// Of each layer: the layers whose outputs it takes, in operand order. In a block: layers of the same
  /// block, kBlockInput, kModelInput, or the last layer of an earlier block that stands in one run: what
  /// that run puts out. Embeddings take the rows that they need from kModelInput.
  std::vector<std::vector<LayerId>> inputs;
  std::vector<Block> blocks;  ///< tile the layers in order; empty: the graph is flat
  std::vector<Run> runs;      ///< the network from input to loss
};

/// A network: layers as vertices of a directed acyclic graph, in topological order. Shapes are per
/// sample and rows are counted by Positions, so one graph serves every batch size and length. Networks
/// with many equal blocks list each once, and `runs` tells how they follow one another.
class OpGraph {
 public:
  /// A flat graph: every layer stands in it once.
  /// @throws Error(invalid_argument) naming the layer if widths or rows disagree or lie outside 1 to
  ///   kMostFeatures, a name is empty, "input" or used twice, an input is missing or comes later (layers
  ///   are listed in topological order), the number of inputs is wrong, a kind lacks its shape, some
  ///   output is never used for the loss, there are more than kMostLayers, or the last layer is not the
  ///   only softmax_cross_entropy (the loss is the last layer of the graph)
  OpGraph(std::string name, std::int64_t input_features, std::vector<Layer> layers,
          std::vector<std::vector<LayerId>> inputs);
  /// A graph of blocks, or a flat one with rows.
  /// @throws Error(invalid_argument) as above; blocks may hold several losses, the last layer is one, and
  ///   blocks and runs fit each other
  explicit OpGraph(OpGraphParts parts);

  const std::string& name() const { return parts_.name; }
  const std::string& source() const { return source_; }
  void set_source(std::string source) { source_ = std::move(source); }
  std::int64_t input_features() const { return parts_.input_features; }
  const Positions& input_positions() const { return parts_.input_positions; }
  std::int64_t classes() const { return parts_.layers.back().in_features; }
  std::size_t size() const { return parts_.layers.size(); }
  const Layer& layer(LayerId id) const { return parts_.layers[static_cast<std::size_t>(id)]; }
  const std::vector<Layer>& layers() const { return parts_.layers; }
  const std::vector<LayerId>& inputs(LayerId id) const;
  /// The layers that take this layer's output (kModelInput: the samples; kBlockInput: a block's input), in
  /// order of id; a layer that takes it twice stands twice. What the block behind takes is not listed.
  const std::vector<LayerId>& consumers(LayerId id) const;
  /// The rows of each input of a layer, a sample.
  std::vector<Positions> operand_positions(LayerId id) const;
  /// Whether training asks for the gradient of some input: not for that of the samples.
  bool needs_input_gradient(LayerId id) const;

  bool flat() const { return parts_.blocks.empty(); }
  const std::vector<Block>& blocks() const { return parts_.blocks; }
  const std::vector<Run>& runs() const { return parts_.runs; }
  /// How often a layer stands in the network.
  std::int64_t instances(LayerId id) const { return instances_[static_cast<std::size_t>(id)]; }
  /// Instances of all blocks of this role.
  std::int64_t block_count(BlockRole role) const;

  /// Layer by layer in order of id, weight before bias, gain before shift; a repeated layer's once.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Indices into parameters() of one layer.
  std::vector<std::int32_t> parameters_of(LayerId id) const;
  /// How many numbers training learns, repeats counted.
  std::int64_t parameter_count() const;
  /// The same without heads and without the loss: what is published for encoders.
  std::int64_t parameter_count_without_head() const;

 private:
  std::int64_t parameter_count(const Parameter& parameter) const {
    return parameter.rows * parameter.columns * instances(parameter.layer);
  }

  void check_parameter_count() const;

  OpGraphParts parts_;
  std::string source_;
  std::vector<std::int64_t> instances_;
  std::vector<Positions> entry_;                 ///< by layer: the rows of its block's input
  std::vector<std::vector<LayerId>> consumers_;  ///< entry 0: of kBlockInput, 1: of kModelInput
  std::vector<Parameter> parameters_;
};

/// Whether the executor runs this graph.
bool is_executable(const OpGraph& graph);
/// @throws Error(invalid_argument) unless the graph is flat and made of kinds that the executor runs
void require_executable(const OpGraph& graph);

}  // namespace foreplan
