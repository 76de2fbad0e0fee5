#include "models/model_io.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/huggingface_file.hpp"
#include "models/layer_io.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

constexpr const char* kLossName = "loss";
constexpr std::size_t kMostInputs = 1'000'000;  ///< of all layers together

/// The layers read so far, what they put out, and where their names lead.
struct Layers {
  LayerOutput samples;
  std::vector<Layer> layers;
  std::vector<LayerOutput> outputs;
  std::vector<std::vector<LayerId>> inputs;
  std::map<std::string, LayerId> ids{{"input", kModelInput}};
  std::size_t input_count = 0;

  LayerId last() const { return LayerId{static_cast<std::int32_t>(layers.size()) - 1}; }

  const LayerOutput& output(LayerId id) const {
    return id == kModelInput ? samples : outputs[static_cast<std::size_t>(id)];
  }

  void add(Layer layer, std::vector<LayerId> from, LayerOutput output) {
    input_count += from.size();
    layers.push_back(std::move(layer));
    inputs.push_back(std::move(from));
    outputs.push_back(output);
    ids.emplace(layers.back().name, last());
  }
};

LayerOutput read_samples(const JsonValue& value) {
  JsonObject input = value.object();
  LayerOutput samples;
  if (const auto features = input.optional("features")) {
    samples.features = features->integer(1, kMostFeatures);
  } else if (const auto tokens = input.optional("tokens")) {
    if (!tokens->boolean()) tokens->expected("true");
    samples = {.features = 1, .positions = kSourceTokens, .ids = true};
  } else if (const auto channels = input.optional("channels")) {
    const std::int64_t height = input.required("height").integer(1, kMostPixels);
    const std::int64_t width = input.required("width").integer(1, kMostPixels);
    samples = image_of(channels->integer(1, kMostFeatures), height, width);
    if (samples.features > kMostImageNumbers / (height * width)) {
      value.expected(fmt::format("an image of at most {} numbers", kMostImageNumbers));
    }
  } else {
    value.expected("features, or channels, height and width, or tokens");
  }
  input.finish();
  return samples;
}

std::string read_layer_name(const JsonValue& value, const Layers& before) {
  std::string name = value.text();
  if (name.empty() || name == kLossName || before.ids.count(name) != 0) {
    value.expected("a name of its own, neither \"input\" nor \"loss\"");
  }
  return name;
}

std::string expected_inputs(LayerKind kind) {
  const OperandCount count = operand_count(kind);
  if (kind == LayerKind::concat) return fmt::format("{} to {} inputs", count.least, count.most);
  return fmt::format("{} input{}", count.least, count.least == 1 ? "" : "s");
}

std::vector<LayerId> read_inputs(JsonObject& object, LayerKind kind, const Layers& before) {
  const auto given = object.optional("inputs");
  const OperandCount count = operand_count(kind);
  if (!given) {
    if (count.least == 1) return {before.last()};
    object.required("inputs");
  }
  const std::vector<JsonValue> values = given->array();
  std::vector<LayerId> inputs;
  std::vector<LayerOutput> outputs;
  for (const JsonValue& value : values) {
    const auto found = before.ids.find(value.text());
    if (found == before.ids.end()) value.expected("an earlier layer or \"input\"");
    inputs.push_back(found->second);
    outputs.push_back(before.output(found->second));
  }
  const std::size_t most = kind == LayerKind::concat ? count.most : count.least;
  if (inputs.size() < count.least || inputs.size() > most) given->expected(expected_inputs(kind));
  if (before.input_count + inputs.size() > kMostInputs) {
    given->expected(fmt::format("at most {} inputs of all layers", kMostInputs));
  }
  check_inputs(kind, values, outputs);
  return inputs;
}

/// The embedding whose table are the weights of this linear layer.
void read_tie(JsonObject& object, Layer& layer, const Layers& before) {
  const auto given = object.optional("tied_to");
  if (!given) return;
  const auto found = before.ids.find(given->text());
  const Layer* embedding = found == before.ids.end() || found->second == kModelInput
                               ? nullptr
                               : &before.layers[static_cast<std::size_t>(found->second)];
  if (embedding == nullptr || embedding->kind != LayerKind::embedding) {
    given->expected("an earlier embedding");
  }
  const std::int64_t rows = shape_of<TableShape>(*embedding).rows;
  if (rows != layer.out_features || embedding->out_features != layer.in_features) {
    given->expected(fmt::format("an embedding of {} rows of {} features (this has {} of {})",
                                layer.out_features, layer.in_features, rows,
                                embedding->out_features));
  }
  layer.tied_to = found->second;
}

void read_layer(const JsonValue& value, Layers& before) {
  JsonObject object = value.object();
  Layer layer;
  layer.name = read_layer_name(object.required("name"), before);
  layer.kind = read_layer_kind(object.required("type"));
  std::vector<LayerId> inputs = read_inputs(object, layer.kind, before);
  std::vector<LayerOutput> from;
  for (const LayerId input : inputs) from.push_back(before.output(input));
  const LayerOutput output = read_layer_shape(object, from, layer);
  if (layer.kind == LayerKind::linear) read_tie(object, layer, before);
  object.finish();
  before.add(std::move(layer), std::move(inputs), output);
}

void read_loss(const JsonValue& value, Layers& before) {
  if (value.text() != name(LayerKind::softmax_cross_entropy)) {
    value.expected("\"softmax_cross_entropy\"");
  }
  const LayerId last = before.last();
  const LayerOutput& scores = before.output(last);
  before.add({.name = kLossName,
              .kind = LayerKind::softmax_cross_entropy,
              .in_features = scores.features,
              .out_features = 1,
              .positions = scores.positions},
             {last}, {.features = 1, .positions = scores.positions});
}

Layers read_layers(JsonObject& root) {
  Layers layers;
  layers.samples = read_samples(root.required("input"));
  const JsonValue list = root.required("layers");
  const std::vector<JsonValue> values = list.array();
  if (values.empty()) list.expected("at least one layer");
  if (values.size() >= kMostLayers) {
    list.expected(fmt::format("at most {} layers", kMostLayers - 1));
  }
  for (const JsonValue& layer : values) read_layer(layer, layers);
  read_loss(root.required("loss"), layers);
  return layers;
}

/// Builds the graph; what it finds wrong is told with the place of the file.
OpGraph build(const std::string& name, Layers layers, const std::string& place) {
  try {
    return OpGraph({.name = name,
                    .input_features = layers.samples.features,
                    .input_positions = layers.samples.positions,
                    .layers = std::move(layers.layers),
                    .inputs = std::move(layers.inputs),
                    .blocks = {},
                    .runs = {}});
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", place, error.what()));
  }
}

/// The shape of the first window that slides over the samples, or over layers as high and wide.
std::optional<SpatialShape> window_over_samples(const OpGraph& graph) {
  std::vector<bool> as_samples(graph.size(), false);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const LayerId from = graph.inputs(id)[0];
    if (from != kModelInput && !as_samples[static_cast<std::size_t>(from)]) continue;
    const Layer& layer = graph.layer(id);
    if (const auto* shape = std::get_if<SpatialShape>(&layer.shape)) return *shape;
    as_samples[i] = layer.kind != LayerKind::flatten && layer.kind != LayerKind::select &&
                    layer.positions == graph.input_positions();
  }
  return std::nullopt;
}

nlohmann::ordered_json samples_json(const OpGraph& graph) {
  const Positions& rows = graph.input_positions();
  if (rows == kSourceTokens && graph.input_features() == 1) return {{"tokens", true}};
  if (rows.source != 0 || rows.target != 0) {
    reject(
        fmt::format("model {}: a model file cannot hold its input", printable(graph.name(), 100)));
  }
  const auto window = window_over_samples(graph);
  if (!window && rows.fixed == 1) return {{"features", graph.input_features()}};
  return {{"channels", graph.input_features()},
          {"height", window ? window->in_height : rows.fixed},
          {"width", window ? window->in_width : 1}};
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
  write_layer_shape(layer, json);
  if (layer.tied_to) json["tied_to"] = graph.layer(*layer.tied_to).name;
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
  if (!graph.flat()) {
    reject(fmt::format("model {}: a model file cannot hold repeated blocks",
                       printable(graph.name(), 100)));
  }
  nlohmann::ordered_json json = {{"schema", "foreplan.model/1"}, {"name", graph.name()}};
  if (!graph.source().empty()) json["source"] = graph.source();
  json["input"] = samples_json(graph);
  json["layers"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i + 1 < graph.size(); ++i) {
    json["layers"].push_back(layer_json(graph, LayerId{static_cast<std::int32_t>(i)}));
  }
  json["loss"] = name(LayerKind::softmax_cross_entropy);
  return document_text(json);
}

}  // namespace foreplan
