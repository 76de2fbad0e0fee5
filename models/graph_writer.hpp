#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/op_graph.hpp"

namespace foreplan {

/// Writes an OpGraph block by block. Layers are named `<block>.<name>`.
class GraphWriter {
 public:
  GraphWriter(std::string name, std::int64_t input_features, Positions input_positions) {
    parts_.name = std::move(name);
    parts_.input_features = input_features;
    parts_.input_positions = input_positions;
  }

  void begin_block(std::string name, BlockRole role) {
    const LayerId first{static_cast<std::int32_t>(parts_.layers.size())};
    parts_.blocks.push_back({.name = std::move(name), .first = first, .last = first, .role = role});
  }

  /// A layer of the current block; `layer.name` without the block's.
  LayerId add(Layer layer, std::vector<LayerId> inputs) {
    Block& block = parts_.blocks.back();
    layer.name = block.name + "." + layer.name;
    block.last = LayerId{static_cast<std::int32_t>(parts_.layers.size())};
    parts_.layers.push_back(std::move(layer));
    parts_.inputs.push_back(std::move(inputs));
    return block.last;
  }

  /// `repeats` instances of block `block` follow.
  void run(std::int32_t block, std::int32_t repeats) {
    if (!parts_.runs.empty() && parts_.runs.back().block == block) {
      parts_.runs.back().repeats += repeats;
    } else {
      parts_.runs.push_back({block, repeats});
    }
  }
  /// One instance of the current block follows.
  void run() { run(current_block(), 1); }

  std::int32_t current_block() const { return static_cast<std::int32_t>(parts_.blocks.size()) - 1; }
  LayerId last() const { return parts_.blocks.back().last; }

  OpGraph graph() && { return OpGraph(std::move(parts_)); }

 private:
  OpGraphParts parts_;
};

}  // namespace foreplan
