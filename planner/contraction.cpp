#include "planner/contraction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dominator_tree.hpp>
#include <map>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS>;
using Vertex = boost::graph_traits<Graph>::vertex_descriptor;

/// The last unit of each block's only run, or of its first.
std::map<std::int32_t, std::int32_t> last_units(const UnitChain& chain) {
  std::map<std::int32_t, std::int32_t> last;
  for (std::size_t u = 0; u < chain.units.size(); ++u) {
    last[chain.units[u]] = static_cast<std::int32_t>(u);
  }
  return last;
}

/// The units that one unit reads, in order and each once.
class UnitReader {
 public:
  UnitReader(const OpGraph& model, const UnitChain& chain)
      : model_(model), chain_(chain), last_(last_units(chain)) {
    class_of_.resize(model.size());
    for (std::size_t c = 0; c < chain.classes.size(); ++c) {
      const UnitRange& range = chain.classes[c].range;
      for (LayerId id = range.first; id <= range.last; id = layer_after(id)) {
        class_of_[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(c);
      }
    }
  }

  std::vector<std::int32_t> inputs(std::int32_t unit) const {
    const std::int32_t own = chain_.units[static_cast<std::size_t>(unit)];
    const UnitRange& range = chain_.classes[static_cast<std::size_t>(own)].range;
    std::vector<std::int32_t> read;
    for (LayerId id = range.first; id <= range.last; id = layer_after(id)) {
      for (const LayerId input : model_.inputs(id)) {
        const bool inside = input >= range.first && input <= range.last;
        if (!inside) read.push_back(source(unit, id, input));
      }
    }
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    return read;
  }

 private:
  std::int32_t source(std::int32_t unit, LayerId reader, LayerId input) const {
    const std::int32_t before = unit - 1;  // of the first: the samples
    if (input == kBlockInput) return before;
    if (input != kModelInput) return last_.at(class_of_[static_cast<std::size_t>(input)]);
    return model_.layer(reader).kind == LayerKind::embedding ? before : kSamples;
  }

  const OpGraph& model_;
  const UnitChain& chain_;
  std::map<std::int32_t, std::int32_t> last_;
  std::vector<std::int32_t> class_of_;  ///< by layer
};

/// Layers [first, first + count) of a flat chain, or blocks, as numbers: equal numbers are alike.
class Likeness {
 public:
  Likeness(const OpGraph& model, const UnitChain& chain, const UnitInputs& inputs)
      : model_(model), chain_(chain), inputs_(inputs) {}

  std::vector<std::int64_t> of(const SuperLayer& super) const {
    std::vector<std::int64_t> numbers{super.units};
    for (std::int32_t u = super.first; u < super.first + super.units; ++u) {
      add_unit(u, numbers);
      // Who is read, counted from the reader: what lies before a super-layer is one tensor.
      for (const std::int32_t input : inputs_[static_cast<std::size_t>(u)]) {
        numbers.push_back(u - std::max(input, super.first - 1));
      }
      numbers.push_back(-1);
    }
    return numbers;
  }

 private:
  void add_unit(std::int32_t unit, std::vector<std::int64_t>& numbers) const {
    const std::int32_t unit_class = chain_.units[static_cast<std::size_t>(unit)];
    if (!model_.flat()) {
      numbers.push_back(unit_class);
      return;
    }
    const Layer& layer =
        model_.layer(chain_.classes[static_cast<std::size_t>(unit_class)].range.first);
    numbers.insert(numbers.end(), {static_cast<std::int64_t>(layer.kind), layer.in_features,
                                   layer.out_features, layer.bias ? 1 : 0, layer.positions.fixed,
                                   layer.positions.source, layer.positions.target});
    std::visit([&](const auto& shape) { add(shape, numbers); }, layer.shape);
  }

  static void add(std::monostate, std::vector<std::int64_t>&) {}
  static void add(const AttentionShape& s, std::vector<std::int64_t>& numbers) {
    numbers.insert(numbers.end(),
                   {s.heads, s.kv_heads, s.qk_features, s.v_features, s.shared_key_features,
                    s.causal ? 1 : 0, s.window, s.dropout ? 1 : 0, s.bias_rows});
  }
  static void add(const SpatialShape& s, std::vector<std::int64_t>& numbers) {
    numbers.insert(numbers.end(), {s.in_height, s.in_width, s.kernel_height, s.kernel_width,
                                   s.stride, s.padding_height, s.padding_width, s.groups});
  }
  static void add(const ExpertShape& s, std::vector<std::int64_t>& numbers) {
    numbers.insert(numbers.end(), {s.experts, s.top_k});
  }
  static void add(const TableShape& s, std::vector<std::int64_t>& numbers) {
    numbers.push_back(s.rows);
  }
  static void add(const NormShape& s, std::vector<std::int64_t>& numbers) {
    numbers.insert(numbers.end(), {s.groups, s.gain ? 1 : 0});
  }

  const OpGraph& model_;
  const UnitChain& chain_;
  const UnitInputs& inputs_;
};

/// The units between cuts, neighbours joined until there are at most `most`.
std::vector<SuperLayer> between(const std::vector<bool>& cuts, int most) {
  std::vector<SuperLayer> layers{{0, 0}};
  for (std::size_t u = 0; u <= cuts.size(); ++u) {
    ++layers.back().units;
    if (u < cuts.size() && cuts[u]) layers.push_back({static_cast<std::int32_t>(u) + 1, 0});
  }
  const auto each =
      (layers.size() + static_cast<std::size_t>(most) - 1) / static_cast<std::size_t>(most);
  std::vector<SuperLayer> joined;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i % each == 0)
      joined.push_back(layers[i]);
    else
      joined.back().units += layers[i].units;
  }
  return joined;
}

}  // namespace

UnitInputs unit_inputs(const OpGraph& model, const UnitChain& chain) {
  const UnitReader reader(model, chain);
  UnitInputs inputs;
  for (std::size_t u = 0; u < chain.units.size(); ++u) {
    inputs.push_back(reader.inputs(static_cast<std::int32_t>(u)));
  }
  return inputs;
}

std::vector<bool> single_tensor_cuts(const UnitInputs& inputs) {
  if (inputs.empty()) return {};
  Graph graph(inputs.size() + 1);  // vertex 0: the samples; u + 1: unit u
  for (std::size_t u = 0; u < inputs.size(); ++u) {
    for (const std::int32_t input : inputs[u]) {
      boost::add_edge(static_cast<Vertex>(input + 1), static_cast<Vertex>(u + 1), graph);
    }
  }
  const Vertex none = boost::graph_traits<Graph>::null_vertex();
  std::vector<Vertex> dominator(inputs.size() + 1, none);
  boost::lengauer_tarjan_dominator_tree(
      graph, Vertex{0},
      boost::make_iterator_property_map(dominator.begin(), boost::get(boost::vertex_index, graph)));
  std::vector<bool> cuts(inputs.size() - 1, false);
  for (Vertex at = dominator[inputs.size()]; at != none && at != 0; at = dominator[at]) {
    cuts[at - 1] = true;
  }
  return cuts;
}

std::int32_t Contraction::super_layers() const {
  std::int32_t sum = 0;
  for (const SuperRun& run : runs) sum += run.count;
  return sum;
}

Contraction contract(const OpGraph& model, int most) {
  if (most < 1) reject(fmt::format("contraction: expected at least one super-layer, got {}", most));
  const UnitChain chain = unit_chain(model);
  const UnitInputs inputs = unit_inputs(model, chain);
  const Likeness likeness(model, chain, inputs);
  Contraction contraction;
  std::map<std::vector<std::int64_t>, std::int32_t> known;
  for (const SuperLayer& layer : between(single_tensor_cuts(inputs), most)) {
    const auto next = static_cast<std::int32_t>(contraction.classes.size());
    const auto [place, fresh] = known.try_emplace(likeness.of(layer), next);
    if (fresh) contraction.classes.push_back(layer);
    std::vector<SuperRun>& runs = contraction.runs;
    if (runs.empty() || runs.back().super_class != place->second)
      runs.push_back({place->second, 0});
    ++runs.back().count;
  }
  return contraction;
}

}  // namespace foreplan
