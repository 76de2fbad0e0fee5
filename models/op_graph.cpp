#include "models/op_graph.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "models/op_graph_check.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Where kBlockInput, kModelInput and the layers stand in OpGraph::consumers_.
std::size_t place(LayerId id) {
  return static_cast<std::size_t>(static_cast<std::int32_t>(id) + 2);
}

std::vector<std::int64_t> count_instances(const OpGraphParts& parts) {
  if (parts.blocks.empty()) return std::vector<std::int64_t>(parts.layers.size(), 1);
  std::vector<std::int64_t> instances(parts.layers.size(), 0);
  for (const Run& run : parts.runs) {
    const Block& block = parts.blocks[static_cast<std::size_t>(run.block)];
    for (auto i = static_cast<std::size_t>(block.first); i <= static_cast<std::size_t>(block.last);
         ++i) {
      instances[i] += run.repeats;
    }
  }
  return instances;
}

/// By layer, the rows that enter its block where it stands first.
std::vector<Positions> entries(const OpGraphParts& parts) {
  std::vector<Positions> entry(parts.layers.size(), parts.input_positions);
  std::vector<bool> entered(parts.blocks.size(), false);
  Positions before = parts.input_positions;
  for (const Run& run : parts.runs) {
    const auto b = static_cast<std::size_t>(run.block);
    const auto first = static_cast<std::ptrdiff_t>(parts.blocks[b].first);
    const auto last = static_cast<std::ptrdiff_t>(parts.blocks[b].last);
    if (!entered[b]) std::fill(entry.begin() + first, entry.begin() + last + 1, before);
    entered[b] = true;
    before = parts.layers[static_cast<std::size_t>(last)].positions;
  }
  return entry;
}

OpGraphParts flat_parts(std::string name, std::int64_t input_features, std::vector<Layer> layers,
                        std::vector<std::vector<LayerId>> inputs) {
  return {.name = std::move(name),
          .input_features = input_features,
          .input_positions = {},
          .layers = std::move(layers),
          .inputs = std::move(inputs),
          .blocks = {},
          .runs = {}};
}

bool executable(const Layer& layer) {
  switch (layer.kind) {
    case LayerKind::layer_norm:
      return layer.positions == Positions{} && layer.bias && layer.shape.index() == 0;
    case LayerKind::linear:
    case LayerKind::relu:
    case LayerKind::gelu:
    case LayerKind::add:
    case LayerKind::softmax_cross_entropy:
      return layer.positions == Positions{} && !layer.tied_to;
    default:
      return false;
  }
}

}  // namespace

OpGraph::OpGraph(std::string name, std::int64_t input_features, std::vector<Layer> layers,
                 std::vector<std::vector<LayerId>> inputs)
    : OpGraph(flat_parts(std::move(name), input_features, std::move(layers), std::move(inputs))) {}

OpGraph::OpGraph(OpGraphParts parts) : parts_(std::move(parts)) {
  check_op_graph(parts_);
  instances_ = count_instances(parts_);
  entry_ = entries(parts_);
  consumers_.resize(size() + 2);
  for (std::size_t i = 0; i < size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    for (const LayerId input : parts_.inputs[i]) consumers_[place(input)].push_back(id);
    for (const Parameter& parameter : foreplan::parameters_of(parts_.layers[i], id)) {
      parameters_.push_back(parameter);
    }
  }
  check_parameter_count();
}

void OpGraph::check_parameter_count() const {
  constexpr double kMost = 9e18;
  double count = 0;
  for (const Parameter& p : parameters_) {
    count += static_cast<double>(p.rows) * static_cast<double>(p.columns) *
             static_cast<double>(instances(p.layer));
  }
  if (count > kMost) reject(fmt::format("model {}: has over {} parameters", name(), kMost));
}

const std::vector<LayerId>& OpGraph::inputs(LayerId id) const {
  return parts_.inputs[static_cast<std::size_t>(id)];
}

const std::vector<LayerId>& OpGraph::consumers(LayerId id) const { return consumers_[place(id)]; }

std::vector<Positions> OpGraph::operand_positions(LayerId id) const {
  std::vector<Positions> positions;
  for (const LayerId input : inputs(id)) {
    if (input == kModelInput) {
      positions.push_back(input_positions());
    } else {
      const bool entry = input == kBlockInput;
      positions.push_back(entry ? entry_[static_cast<std::size_t>(id)] : layer(input).positions);
    }
  }
  return positions;
}

bool OpGraph::needs_input_gradient(LayerId id) const {
  const std::vector<LayerId>& from = inputs(id);
  return std::any_of(from.begin(), from.end(), [](LayerId in) { return in != kModelInput; });
}

std::int64_t OpGraph::block_count(BlockRole role) const {
  std::int64_t count = 0;
  for (const Run& run : runs()) {
    if (blocks()[static_cast<std::size_t>(run.block)].role == role) count += run.repeats;
  }
  return count;
}

std::vector<std::int32_t> OpGraph::parameters_of(LayerId id) const {
  std::vector<std::int32_t> found;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].layer == id) found.push_back(static_cast<std::int32_t>(i));
  }
  return found;
}

std::int64_t OpGraph::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter_count(parameter);
  return count;
}

std::int64_t OpGraph::parameter_count_without_head() const {
  std::int64_t count = parameter_count();
  for (const Block& block : blocks()) {
    if (block.role != BlockRole::head) continue;
    for (const Parameter& parameter : parameters_) {
      const bool inside = block.first <= parameter.layer && parameter.layer <= block.last;
      if (inside) count -= parameter_count(parameter);
    }
  }
  return count;
}

bool is_executable(const OpGraph& graph) {
  return graph.flat() && std::all_of(graph.layers().begin(), graph.layers().end(),
                                     [](const Layer& layer) { return executable(layer); });
}

void require_executable(const OpGraph& graph) {
  if (!graph.flat()) {
    reject(fmt::format("model {}: is made of repeated blocks: it can be forecast, but not yet run",
                       graph.name()));
  }
  for (const Layer& layer : graph.layers()) {
    if (executable(layer)) continue;
    reject(fmt::format("model {}: layer {}: {} can be forecast, but not yet run", graph.name(),
                       layer.name, name(layer.kind)));
  }
}

}  // namespace foreplan
