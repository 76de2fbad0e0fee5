#include "planner/contraction.hpp"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dominator_tree.hpp>
#include <map>

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

}  // namespace foreplan
