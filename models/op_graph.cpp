#include "models/op_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/reverse_graph.hpp>
#include <boost/graph/strong_components.hpp>
#include <set>

#include "sim/error.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

/// Vertex 0 is the model's input, vertex i + 1 is layer i; edges follow the data.
using Digraph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS>;

constexpr std::array<std::string_view, 6> kKindNames = {
    "linear", "relu", "gelu", "layer_norm", "add", "softmax_cross_entropy"};

std::size_t vertex(LayerId id) { return static_cast<std::size_t>(id) + 1; }

/// The checks of a graph under construction: throws what OpGraph's constructor documents.
class Checker {
 public:
  Checker(const std::string& model, std::int64_t input_features, const std::vector<Layer>& layers,
          const std::vector<std::vector<LayerId>>& inputs)
      : model_(printable(model, 100)),
        input_features_(input_features),
        layers_(layers),
        inputs_(inputs) {}

  void check() const {
    check_input();
    for (std::size_t i = 0; i < layers_.size(); ++i) check_layer(i);
    check_names();
    check_order();
    for (std::size_t i = 0; i < layers_.size(); ++i) check_widths(i);
    check_loss();
    check_every_output_used();
  }

 private:
  [[noreturn]] void fail(std::size_t layer, const std::string& what) const {
    reject(
        fmt::format("model {}: layer {}: {}", model_, printable(layers_[layer].name, 100), what));
  }

  void check_input() const {
    if (layers_.empty()) reject(fmt::format("model {}: has no layers", model_));
    if (layers_.size() > kMostLayers) {
      reject(fmt::format("model {}: expected at most {} layers, got {}", model_, kMostLayers,
                         layers_.size()));
    }
    if (input_features_ < 1 || input_features_ > kMostFeatures) {
      reject(fmt::format("model {}: expected 1 to {} input features, got {}", model_, kMostFeatures,
                         input_features_));
    }
    if (inputs_.size() != layers_.size()) {
      reject(fmt::format("model {}: has {} layers, but inputs of {}", model_, layers_.size(),
                         inputs_.size()));
    }
  }

  void check_layer(std::size_t i) const {
    const Layer& layer = layers_[i];
    if (layer.name.empty()) reject(fmt::format("model {}: layer {} has no name", model_, i));
    if (layer.name == "input") fail(i, "'input' names the model's input; choose another name");
    if (inputs_[i].size() != operands(layer.kind)) {
      fail(i, fmt::format("{} takes {} input(s), got {}", foreplan::name(layer.kind),
                          operands(layer.kind), inputs_[i].size()));
    }
    for (const std::int64_t features : {layer.in_features, layer.out_features}) {
      if (features < 1 || features > kMostFeatures) {
        fail(i, fmt::format("expected 1 to {} features, got {}", kMostFeatures, features));
      }
    }
  }

  void check_names() const {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (!seen.insert(layers_[i].name).second) fail(i, "an earlier layer has the same name");
    }
  }

  Digraph digraph() const {
    Digraph graph(layers_.size() + 1);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      for (const LayerId input : inputs_[i]) {
        if (input < kModelInput || vertex(input) > layers_.size()) {
          fail(i, fmt::format("takes layer {}, which does not exist", static_cast<int>(input)));
        }
        boost::add_edge(vertex(input), i + 1, graph);
      }
    }
    return graph;
  }

  void check_order() const {
    const Digraph graph = digraph();
    std::vector<std::size_t> component(boost::num_vertices(graph));
    boost::strong_components(graph, boost::make_iterator_property_map(
                                        component.begin(), get(boost::vertex_index, graph)));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      for (const LayerId input : inputs_[i]) {
        if (vertex(input) <= i) continue;
        const std::string later = printable(layers_[vertex(input) - 1].name, 100);
        if (component[vertex(input)] == component[i + 1]) {
          fail(i, fmt::format("takes {}, which depends on it: a cycle", later));
        }
        fail(i,
             fmt::format("takes {}, which comes later; list layers in topological order", later));
      }
    }
  }

  std::int64_t width(LayerId id) const {
    return id == kModelInput ? input_features_ : layers_[vertex(id) - 1].out_features;
  }

  void check_widths(std::size_t i) const {
    const Layer& layer = layers_[i];
    for (const LayerId input : inputs_[i]) {
      if (width(input) == layer.in_features) continue;
      fail(i, fmt::format("expects {} features, but {} has {}", layer.in_features,
                          input == kModelInput ? "the input"
                                               : printable(layers_[vertex(input) - 1].name, 100),
                          width(input)));
    }
    const bool loss = layer.kind == LayerKind::softmax_cross_entropy;
    const std::int64_t expected = loss ? 1 : layer.in_features;
    if (layer.kind != LayerKind::linear && layer.out_features != expected) {
      fail(i, fmt::format("{} of {} features has {} output(s), got {}", foreplan::name(layer.kind),
                          layer.in_features, expected, layer.out_features));
    }
  }

  void check_loss() const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const bool loss = layers_[i].kind == LayerKind::softmax_cross_entropy;
      const bool last = i + 1 == layers_.size();
      if (loss && !last) fail(i, "the loss must be the last layer");
      if (!loss && last) fail(i, "the last layer must be the loss, softmax_cross_entropy");
    }
  }

  void check_every_output_used() const {
    const Digraph graph = digraph();
    std::vector<boost::default_color_type> colour(boost::num_vertices(graph));
    boost::breadth_first_search(boost::make_reverse_graph(graph), layers_.size(),
                                boost::color_map(boost::make_iterator_property_map(
                                    colour.begin(), get(boost::vertex_index, graph))));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (colour[i + 1] == boost::white_color) fail(i, "its output is never used for the loss");
    }
  }

  std::string model_;
  std::int64_t input_features_;
  const std::vector<Layer>& layers_;
  const std::vector<std::vector<LayerId>>& inputs_;
};

void add_parameters(const Layer& layer, LayerId id, std::vector<Parameter>& parameters) {
  using Role = Parameter::Role;
  if (layer.kind == LayerKind::linear) {
    parameters.push_back({id, Role::weight, layer.in_features, layer.out_features});
    if (layer.bias) parameters.push_back({id, Role::bias, 1, layer.out_features});
  }
  if (layer.kind == LayerKind::layer_norm) {
    parameters.push_back({id, Role::gain, 1, layer.out_features});
    parameters.push_back({id, Role::shift, 1, layer.out_features});
  }
}

}  // namespace

std::string_view name(LayerKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<LayerKind> layer_kind_named(std::string_view name) {
  const auto found = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (found == kKindNames.end()) return std::nullopt;
  return static_cast<LayerKind>(found - kKindNames.begin());
}

std::size_t operands(LayerKind kind) { return kind == LayerKind::add ? 2 : 1; }

OpGraph::OpGraph(std::string name, std::int64_t input_features, std::vector<Layer> layers,
                 std::vector<std::vector<LayerId>> inputs)
    : name_(std::move(name)),
      input_features_(input_features),
      layers_(std::move(layers)),
      inputs_(std::move(inputs)),
      consumers_(layers_.size() + 1) {
  Checker(name_, input_features_, layers_, inputs_).check();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    for (const LayerId input : inputs_[i]) consumers_[vertex(input)].push_back(id);
    add_parameters(layers_[i], id, parameters_);
  }
}

const std::vector<LayerId>& OpGraph::inputs(LayerId id) const {
  return inputs_[static_cast<std::size_t>(id)];
}

const std::vector<LayerId>& OpGraph::consumers(LayerId id) const { return consumers_[vertex(id)]; }

std::vector<std::int32_t> OpGraph::parameters_of(LayerId id) const {
  std::vector<std::int32_t> found;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].layer == id) found.push_back(static_cast<std::int32_t>(i));
  }
  return found;
}

std::int64_t OpGraph::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.rows * parameter.columns;
  return count;
}

}  // namespace foreplan
