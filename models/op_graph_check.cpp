#include "models/op_graph_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/reverse_graph.hpp>
#include <boost/graph/strong_components.hpp>
#include <optional>
#include <set>

#include "models/layer_rules.hpp"
#include "sim/error.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

/// Vertex 0 is the input, of a block or of the model; vertex i + 1 is layer i; edges follow the data.
using Digraph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS>;

constexpr std::int64_t kMostRepeats = 100'000;

std::size_t vertex(LayerId id) {
  return static_cast<std::size_t>(std::max(static_cast<std::int32_t>(id) + 1, 0));
}
std::size_t place(LayerId id) { return static_cast<std::size_t>(id); }

bool is_loss(const Layer& layer) { return layer.kind == LayerKind::softmax_cross_entropy; }

bool contains(const Positions& all, const Positions& some) {
  return some.fixed <= all.fixed && some.source <= all.source && some.target <= all.target;
}

/// What leaves a layer or enters a block.
struct Port {
  std::int64_t features = 0;
  Positions positions;
};

class Checker {
 public:
  explicit Checker(const OpGraphParts& parts) : parts_(parts), model_(printable(parts.name, 100)) {}

  void check() const {
    check_input();
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) check_layer(i);
    check_names();
    check_order();
    if (!parts_.blocks.empty()) check_blocks();
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) check_ports(i);
    check_loss();
    if (parts_.blocks.empty()) {
      check_every_output_used(0, parts_.layers.size());
    } else {
      check_runs();
    }
  }

 private:
  [[noreturn]] void fail(std::size_t layer, const std::string& what) const {
    reject(fmt::format("model {}: layer {}: {}", model_, printable(parts_.layers[layer].name, 100),
                       what));
  }
  [[noreturn]] void fail(const Block& block, const std::string& what) const {
    reject(fmt::format("model {}: block {}: {}", model_, printable(block.name, 100), what));
  }

  void check_input() const {
    if (parts_.layers.empty()) reject(fmt::format("model {}: has no layers", model_));
    if (parts_.layers.size() > kMostLayers) {
      reject(fmt::format("model {}: expected at most {} layers, got {}", model_, kMostLayers,
                         parts_.layers.size()));
    }
    if (parts_.input_features < 1 || parts_.input_features > kMostFeatures) {
      reject(fmt::format("model {}: expected 1 to {} input features, got {}", model_, kMostFeatures,
                         parts_.input_features));
    }
    if (parts_.inputs.size() != parts_.layers.size()) {
      reject(fmt::format("model {}: has {} layers, but inputs of {}", model_, parts_.layers.size(),
                         parts_.inputs.size()));
    }
  }

  void check_layer(std::size_t i) const {
    const Layer& layer = parts_.layers[i];
    if (layer.name.empty()) reject(fmt::format("model {}: layer {} has no name", model_, i));
    if (layer.name == "input") fail(i, "'input' names the model's input; choose another name");
    const OperandCount count = operand_count(layer.kind);
    const std::size_t got = parts_.inputs[i].size();
    if (got < count.least || got > count.most) {
      fail(i, fmt::format("{} takes {} input(s), got {}", name(layer.kind), count.least, got));
    }
    for (const std::int64_t features : {layer.in_features, layer.out_features}) {
      if (features < 1 || features > kMostFeatures) {
        fail(i, fmt::format("expected 1 to {} features, got {}", kMostFeatures, features));
      }
    }
    for (const std::int64_t size : counts_of(layer.shape)) {
      if (size < 1 || size > kMostFeatures) {
        fail(i, fmt::format("expected sizes from 1 to {}, got {}", kMostFeatures, size));
      }
    }
    if (layer.tied_to) check_tie(i, *layer.tied_to);
  }

  void check_tie(std::size_t i, LayerId table) const {
    const Layer& layer = parts_.layers[i];
    const bool there = place(table) < i && parts_.layers[place(table)].kind == LayerKind::embedding;
    if (!there) fail(i, "is tied to what is not an earlier embedding");
    const Layer& embedding = parts_.layers[place(table)];
    const std::int64_t rows = shape_of<TableShape>(embedding).rows;
    const bool fits =
        layer.kind == LayerKind::linear
            ? layer.in_features == embedding.out_features && layer.out_features == rows
            : layer.kind == LayerKind::embedding && layer.out_features == embedding.out_features &&
                  shape_of<TableShape>(layer).rows == rows;
    if (!fits) {
      fail(i, fmt::format("is tied to {}, a table of {} x {}", printable(embedding.name, 100), rows,
                          embedding.out_features));
    }
  }

  void check_names() const {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) {
      if (!seen.insert(parts_.layers[i].name).second) fail(i, "an earlier layer has the same name");
    }
  }

  Digraph digraph() const {
    Digraph graph(parts_.layers.size() + 1);
    const LayerId least = parts_.blocks.empty() ? kModelInput : kBlockInput;
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) {
      for (const LayerId input : parts_.inputs[i]) {
        if (input < least || vertex(input) > parts_.layers.size()) {
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
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) {
      for (const LayerId input : parts_.inputs[i]) {
        if (vertex(input) <= i) continue;
        const std::string later = printable(parts_.layers[vertex(input) - 1].name, 100);
        if (component[vertex(input)] == component[i + 1]) {
          fail(i, fmt::format("takes {}, which depends on it: a cycle", later));
        }
        fail(i,
             fmt::format("takes {}, which comes later; list layers in topological order", later));
      }
    }
  }

  Port output(LayerId id) const {
    const Layer& layer = parts_.layers[place(id)];
    return {layer.out_features, layer.positions};
  }
  Port model_input() const { return {parts_.input_features, parts_.input_positions}; }

  void check_ports(std::size_t i) const {
    const Layer& layer = parts_.layers[i];
    for (std::size_t operand = 0; operand < parts_.inputs[i].size(); ++operand) {
      const LayerId input = parts_.inputs[i][operand];
      if (input == kBlockInput) continue;  // check_runs
      check_port(
          i, operand, input == kModelInput ? model_input() : output(input),
          input == kModelInput ? "the input" : printable(parts_.layers[place(input)].name, 100));
    }
    if (is_loss(layer) || keeps_width(layer.kind)) check_width(i);
    if (layer.kind == LayerKind::concat) check_concat(i);
    if (layer.kind == LayerKind::flatten) check_flatten(i);
    if (const auto* spatial = std::get_if<SpatialShape>(&layer.shape)) check_spatial(i, *spatial);
  }

  void check_port(std::size_t i, std::size_t operand, const Port& port,
                  const std::string& from) const {
    const Layer& layer = parts_.layers[i];
    const auto wanted = operand_features(layer, operand);
    if (wanted && *wanted != port.features) {
      fail(i, fmt::format("expects {} features, but {} has {}", *wanted, from, port.features));
    }
    const bool chooses_rows =
        layer.kind == LayerKind::embedding && parts_.inputs[i][operand] == kModelInput;
    if (chooses_rows ? !contains(port.positions, layer.positions)
                     : keeps_rows(layer.kind) && port.positions != layer.positions) {
      fail(i, fmt::format("has other rows than {}", from));
    }
  }

  void check_width(std::size_t i) const {
    const Layer& layer = parts_.layers[i];
    const std::int64_t expected = is_loss(layer) ? 1 : layer.in_features;
    if (layer.out_features == expected) return;
    fail(i, fmt::format("{} of {} features has {} output(s), got {}", name(layer.kind),
                        layer.in_features, expected, layer.out_features));
  }

  void check_concat(std::size_t i) const {
    std::int64_t sum = 0;
    for (const LayerId input : parts_.inputs[i]) {
      if (input == kBlockInput || input == kModelInput) return;
      sum += output(input).features;
    }
    if (sum != parts_.layers[i].out_features) {
      fail(i, fmt::format("its inputs have {} features, but its output {}", sum,
                          parts_.layers[i].out_features));
    }
  }

  /// What the first input of a layer is, unless the block before decides.
  std::optional<Port> first_input(std::size_t i) const {
    const LayerId input = parts_.inputs[i][0];
    if (input == kBlockInput) return std::nullopt;
    return input == kModelInput ? model_input() : output(input);
  }

  void check_flatten(std::size_t i) const {
    const Layer& layer = parts_.layers[i];
    const auto input = first_input(i);
    const std::int64_t rows = input ? input->positions.fixed : 1;
    const bool fixed = !input || input->positions == Positions{.fixed = rows};
    if (!fixed || layer.positions != Positions{} ||
        (input && (rows < 1 || layer.out_features / rows != input->features ||
                   layer.out_features % rows != 0))) {
      fail(i, fmt::format("flatten of {} features cannot have {}", layer.in_features,
                          layer.out_features));
    }
  }

  void check_spatial(std::size_t i, const SpatialShape& s) const {
    const Layer& layer = parts_.layers[i];
    const std::int64_t largest = std::max({s.in_height, s.in_width, s.kernel_height, s.kernel_width,
                                           s.stride, s.groups, s.padding_height, s.padding_width});
    if (largest > kMostFeatures)
      fail(i, fmt::format("expected sizes of at most {}", kMostFeatures));
    const bool positive =
        std::min({s.in_height, s.in_width, s.kernel_height, s.kernel_width, s.stride, s.groups,
                  s.padding_height + 1, s.padding_width + 1}) >= 1;
    if (!positive) fail(i, "expected positive sizes");
    if (s.kernel_height > s.in_height + 2 * s.padding_height ||
        s.kernel_width > s.in_width + 2 * s.padding_width) {
      fail(i, fmt::format("a kernel of {} x {} does not fit {} x {}", s.kernel_height,
                          s.kernel_width, s.in_height, s.in_width));
    }
    if (layer.in_features % s.groups != 0 || layer.out_features % s.groups != 0) {
      fail(i, fmt::format("{} groups do not divide its {} and {} features", s.groups,
                          layer.in_features, layer.out_features));
    }
    const auto input = first_input(i);
    if (input && input->positions != Positions{.fixed = s.in_height * s.in_width}) {
      fail(i, fmt::format("its input has other rows than {} x {}", s.in_height, s.in_width));
    }
    const std::int64_t window = s.kernel_height * s.kernel_width;
    if (layer.kind == LayerKind::conv2d && layer.in_features / s.groups > kMostFeatures / window) {
      fail(i, fmt::format("expected at most {} weights an output feature", kMostFeatures));
    }
    if (layer.positions != Positions{.fixed = s.out_height() * s.out_width()}) {
      fail(i, fmt::format("has other rows than {} x {}", s.out_height(), s.out_width()));
    }
  }

  void check_loss() const {
    const bool flat = parts_.blocks.empty();
    for (std::size_t i = 0; i < parts_.layers.size(); ++i) {
      const bool last = i + 1 == parts_.layers.size();
      if (is_loss(parts_.layers[i]) && !last && flat) fail(i, "the loss must be the last layer");
      if (!is_loss(parts_.layers[i]) && last) {
        fail(i, "the last layer must be the loss, softmax_cross_entropy");
      }
    }
  }

  /// Every one of layers [first, end) leads to the last of them or to a loss.
  void check_every_output_used(std::size_t first, std::size_t end) const {
    const Digraph graph = digraph();
    const auto reversed = boost::make_reverse_graph(graph);
    std::vector<boost::default_color_type> colour(boost::num_vertices(graph));
    const auto colours =
        boost::make_iterator_property_map(colour.begin(), get(boost::vertex_index, graph));
    for (std::size_t i = first; i < end; ++i) {
      const bool root = i + 1 == end || is_loss(parts_.layers[i]);
      if (root && colour[i + 1] == boost::white_color) {
        boost::queue<std::size_t> queue;
        boost::breadth_first_visit(reversed, i + 1, queue, boost::default_bfs_visitor(), colours);
      }
    }
    for (std::size_t i = first; i < end; ++i) {
      if (colour[i + 1] == boost::white_color) fail(i, "its output is never used for the loss");
    }
  }

  void check_blocks() const {
    std::size_t next = 0;
    for (const Block& block : parts_.blocks) {
      if (place(block.first) != next || block.last < block.first ||
          place(block.last) >= parts_.layers.size()) {
        fail(block, fmt::format("expected layers from {} on, got {} to {}", next,
                                static_cast<int>(block.first), static_cast<int>(block.last)));
      }
      next = place(block.last) + 1;
    }
    if (next != parts_.layers.size()) {
      reject(fmt::format("model {}: {} of {} layers are in no block", model_,
                         parts_.layers.size() - next, parts_.layers.size()));
    }
    for (const Block& block : parts_.blocks) {
      check_references(block);
      check_every_output_used(place(block.first), place(block.last) + 1);
    }
  }

  /// What comes from another block is the last layer of one that stands in one run.
  void check_references(const Block& block) const {
    for (std::size_t i = place(block.first); i <= place(block.last); ++i) {
      for (const LayerId input : parts_.inputs[i]) {
        if (input < LayerId{0} || input >= block.first) continue;
        if (!ends_single_run(input)) {
          fail(i, fmt::format("takes {} of another block",
                              printable(parts_.layers[place(input)].name, 100)));
        }
      }
    }
  }

  bool ends_single_run(LayerId id) const {
    for (std::size_t b = 0; b < parts_.blocks.size(); ++b) {
      if (parts_.blocks[b].last != id) continue;
      return std::count_if(parts_.runs.begin(), parts_.runs.end(), [&](const Run& run) {
               return run.block == static_cast<std::int32_t>(b);
             }) == 1;
    }
    return false;
  }

  void check_runs() const {
    Port before = model_input();
    std::set<std::int32_t> seen;
    for (const Run& run : parts_.runs) {
      if (run.block < 0 || static_cast<std::size_t>(run.block) >= parts_.blocks.size() ||
          run.repeats < 1 || run.repeats > kMostRepeats) {
        reject(fmt::format("model {}: expected runs of known blocks, 1 to {} times", model_,
                           kMostRepeats));
      }
      const Block& block = parts_.blocks[static_cast<std::size_t>(run.block)];
      seen.insert(run.block);
      enter(block, before);
      before = output(block.last);
      if (run.repeats > 1) enter(block, before);
    }
    if (seen.size() != parts_.blocks.size())
      reject(fmt::format("model {}: some block is in no run", model_));
    if (place(parts_.blocks[static_cast<std::size_t>(parts_.runs.back().block)].last) + 1 !=
        parts_.layers.size()) {
      reject(fmt::format("model {}: the last run does not end with the last layer", model_));
    }
  }

  void enter(const Block& block, const Port& port) const {
    for (std::size_t i = place(block.first); i <= place(block.last); ++i) {
      for (std::size_t operand = 0; operand < parts_.inputs[i].size(); ++operand) {
        if (parts_.inputs[i][operand] == kBlockInput)
          check_port(i, operand, port, "the block before");
      }
    }
  }

  const OpGraphParts& parts_;
  std::string model_;
};

}  // namespace

void check_op_graph(const OpGraphParts& parts) { Checker(parts).check(); }

}  // namespace foreplan
