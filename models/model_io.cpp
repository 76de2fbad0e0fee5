#include "models/model_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/huggingface_file.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

constexpr const char* kLossName = "loss";

/// The layers read so far, and where their names lead.
struct Layers {
  std::int64_t input_features = 0;
  std::vector<Layer> layers;
  std::vector<std::vector<LayerId>> inputs;
  std::map<std::string, LayerId> ids{{"input", kModelInput}};

  LayerId last() const { return LayerId{static_cast<std::int32_t>(layers.size()) - 1}; }

  std::int64_t width(LayerId id) const {
    return id == kModelInput ? input_features : layers[static_cast<std::size_t>(id)].out_features;
  }

  void add(Layer layer, std::vector<LayerId> from) {
    layers.push_back(std::move(layer));
    inputs.push_back(std::move(from));
    ids.emplace(layers.back().name, last());
  }
};

LayerKind read_kind(const JsonValue& value) {
  const auto kind = layer_kind_named(value.text());
  constexpr std::array kinds{LayerKind::linear, LayerKind::relu, LayerKind::gelu,
                             LayerKind::layer_norm, LayerKind::add};
  if (!kind || std::find(kinds.begin(), kinds.end(), *kind) == kinds.end()) {
    value.expected("linear, relu, gelu, layer_norm or add");
  }
  return *kind;
}

std::string read_layer_name(const JsonValue& value, const Layers& before) {
  std::string name = value.text();
  if (name.empty() || name == kLossName || before.ids.count(name) != 0) {
    value.expected("a name of its own, neither \"input\" nor \"loss\"");
  }
  return name;
}

std::vector<LayerId> read_inputs(JsonObject& object, LayerKind kind, const Layers& before) {
  const std::size_t wanted = operand_count(kind).least;
  const auto given = object.optional("inputs");
  if (!given) {
    if (wanted == 1) return {before.last()};
    object.required("inputs");
  }
  std::vector<LayerId> inputs;
  for (const JsonValue& value : given->array()) {
    const auto found = before.ids.find(value.text());
    if (found == before.ids.end()) value.expected("an earlier layer or \"input\"");
    inputs.push_back(found->second);
    if (before.width(inputs.back()) != before.width(inputs.front())) {
      value.expected(fmt::format("an input of {} features, as the first has (this has {})",
                                 before.width(inputs.front()), before.width(inputs.back())));
    }
  }
  if (inputs.size() != wanted) {
    given->expected(fmt::format("{} input{}", wanted, wanted == 1 ? "" : "s"));
  }
  return inputs;
}

void read_linear(JsonObject& object, Layer& layer) {
  layer.out_features = object.required("out_features").integer(1, kMostFeatures);
  if (const auto bias = object.optional("bias")) layer.bias = bias->boolean();
  const auto given = object.optional("in_features");
  if (given && given->positive_integer() != layer.in_features) {
    given->expected(fmt::format("{}, the width of its input", layer.in_features));
  }
}

void read_layer(const JsonValue& value, Layers& before) {
  JsonObject object = value.object();
  Layer layer;
  layer.name = read_layer_name(object.required("name"), before);
  layer.kind = read_kind(object.required("type"));
  std::vector<LayerId> inputs = read_inputs(object, layer.kind, before);
  layer.in_features = layer.out_features = before.width(inputs.front());
  if (layer.kind == LayerKind::linear) read_linear(object, layer);
  object.finish();
  before.add(std::move(layer), std::move(inputs));
}

void read_loss(const JsonValue& value, Layers& before) {
  if (value.text() != name(LayerKind::softmax_cross_entropy)) {
    value.expected("\"softmax_cross_entropy\"");
  }
  const LayerId last = before.last();
  before.add({.name = kLossName,
              .kind = LayerKind::softmax_cross_entropy,
              .in_features = before.width(last),
              .out_features = 1},
             {last});
}

Layers read_layers(JsonObject& root) {
  Layers layers;
  JsonObject input = root.required("input").object();
  layers.input_features = input.required("features").integer(1, kMostFeatures);
  input.finish();
  const JsonValue list = root.required("layers");
  for (const JsonValue& layer : list.array()) read_layer(layer, layers);
  if (layers.layers.empty()) list.expected("at least one layer");
  read_loss(root.required("loss"), layers);
  return layers;
}

/// Builds the graph; what it finds wrong is told with the place of the file.
OpGraph build(const std::string& name, Layers layers, const std::string& place) {
  try {
    return {name, layers.input_features, std::move(layers.layers), std::move(layers.inputs)};
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", place, error.what()));
  }
}

nlohmann::ordered_json layer_json(const OpGraph& graph, LayerId id) {
  const Layer& layer = graph.layer(id);
  nlohmann::ordered_json json = {{"name", layer.name}, {"type", name(layer.kind)}};
  const std::vector<LayerId>& inputs = graph.inputs(id);
  const LayerId before{static_cast<std::int32_t>(id) - 1};
  if (inputs != std::vector{before}) {
    json["inputs"] = nlohmann::ordered_json::array();
    for (const LayerId input : inputs) {
      json["inputs"].push_back(input == kModelInput ? "input" : graph.layer(input).name);
    }
  }
  if (layer.kind == LayerKind::linear) {
    json["out_features"] = layer.out_features;
    if (!layer.bias) json["bias"] = false;
  }
  return json;
}

}  // namespace

OpGraph read_model(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  if (auto graph = huggingface_model(document, path)) return *std::move(graph);
  JsonObject root = document.root("model");
  const std::string name = root.required("name").text();
  const auto source = root.optional("source");
  Layers layers = read_layers(root);
  root.finish();
  OpGraph graph = build(name, std::move(layers), root.place());
  if (source) graph.set_source(source->text());
  return graph;
}

std::string to_json(const OpGraph& graph) {
  nlohmann::ordered_json json = {{"schema", "foreplan.model/1"}, {"name", graph.name()}};
  if (!graph.source().empty()) json["source"] = graph.source();
  json["input"] = {{"features", graph.input_features()}};
  json["layers"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i + 1 < graph.size(); ++i) {
    json["layers"].push_back(layer_json(graph, LayerId{static_cast<std::int32_t>(i)}));
  }
  json["loss"] = name(LayerKind::softmax_cross_entropy);
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace foreplan
