#include "models/layer_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "models/spatial_io.hpp"
#include "sim/error.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;
using Inputs = std::span<const LayerOutput>;

/// How a kind stands in a file.
struct FileKind {
  LayerKind kind;
  LayerOutput (*read)(JsonObject&, Inputs, Layer&);
  void (*write)(const Layer&, Json&);
  bool same_rows = false;      ///< its inputs have equal rows
  bool same_features = false;  ///< and are equally wide
};

LayerOutput keep(JsonObject& /*object*/, Inputs inputs, Layer& layer) {
  layer.positions = inputs[0].positions;
  return inputs[0];
}
void write_nothing(const Layer& /*layer*/, Json& /*json*/) {}

void check_width(JsonObject& object, const char* key, std::int64_t width) {
  const auto given = object.optional(key);
  if (given && given->positive_integer() != width) {
    given->expected(fmt::format("{}, the width of its input", width));
  }
}

LayerOutput read_linear(JsonObject& object, Inputs inputs, Layer& layer) {
  if (inputs[0].image() && inputs[0].positions.fixed > 1) {
    reject(fmt::format("{}: expected flatten or a global pool in front of linear, got {}",
                       object.place(), describe_rows(inputs[0])));
  }
  layer.out_features = object.required("out_features").integer(1, kMostFeatures);
  if (const auto bias = object.optional("bias")) layer.bias = bias->boolean();
  check_width(object, "in_features", layer.in_features);
  layer.positions = inputs[0].positions;
  return {.features = layer.out_features, .positions = layer.positions};
}

void write_linear(const Layer& layer, Json& json) {
  json["out_features"] = layer.out_features;
  if (!layer.bias) json["bias"] = false;
}

LayerOutput read_norm(JsonObject& object, Inputs inputs, Layer& layer) {
  if (layer.kind == LayerKind::layer_norm) {
    if (const auto bias = object.optional("bias")) layer.bias = bias->boolean();
  }
  NormShape shape;
  if (layer.kind == LayerKind::rms_norm) {
    if (const auto gain = object.optional("gain")) shape.gain = gain->boolean();
  }
  if (const auto given = object.optional("groups")) {
    shape.groups = given->positive_integer();
    if (layer.in_features % shape.groups != 0) {
      given->expected(fmt::format("a divisor of its {} features", layer.in_features));
    }
  }
  if (shape.groups > 1 || !shape.gain) layer.shape = shape;
  return keep(object, inputs, layer);
}

void write_norm(const Layer& layer, Json& json) {
  if (!layer.bias && layer.kind == LayerKind::layer_norm) json["bias"] = false;
  const auto* norm = std::get_if<NormShape>(&layer.shape);
  if (norm == nullptr) return;
  if (!norm->gain) json["gain"] = false;
  if (norm->groups > 1) json["groups"] = norm->groups;
}

LayerOutput read_concat(JsonObject& object, Inputs inputs, Layer& layer) {
  LayerOutput output = inputs[0];
  output.features = 0;
  for (const LayerOutput& input : inputs) output.features += input.features;
  if (output.features > kMostFeatures ||
      (output.image() && output.positions.fixed > kMostImageNumbers / output.features)) {
    reject(fmt::format("{}: expected at most {} features, got {} in {}", object.place(),
                       kMostFeatures, output.features, describe_rows(output)));
  }
  layer.positions = output.positions;
  layer.out_features = output.features;
  return output;
}

LayerOutput read_embedding(JsonObject& object, Inputs inputs, Layer& layer) {
  if (!inputs[0].ids) {
    reject(fmt::format("{}: expected tokens as the input of an embedding, got {} features",
                       object.place(), inputs[0].features));
  }
  layer.shape = TableShape{object.required("rows").integer(1, kMostFeatures)};
  layer.out_features = object.required("out_features").integer(1, kMostFeatures);
  layer.positions = inputs[0].positions;
  return {.features = layer.out_features, .positions = layer.positions};
}

LayerOutput read_position_embedding(JsonObject& object, Inputs inputs, Layer& layer) {
  layer.shape = TableShape{object.required("rows").integer(1, kMostFeatures)};
  return keep(object, inputs, layer);
}

void write_table(const Layer& layer, Json& json) {
  json["rows"] = shape_of<TableShape>(layer).rows;
  if (layer.kind == LayerKind::embedding) json["out_features"] = layer.out_features;
}

LayerOutput read_class_token(JsonObject& /*object*/, Inputs inputs, Layer& layer) {
  layer.positions = inputs[0].positions;
  layer.positions.fixed += 1;
  return {.features = layer.out_features, .positions = layer.positions};
}

LayerOutput read_select(JsonObject& /*object*/, Inputs /*inputs*/, Layer& layer) {
  return {.features = layer.out_features};
}

/// `heads`, or `kv_heads` where `key` says so: how many of them lie side by side in each width.
std::int64_t read_heads(const JsonValue& value, std::initializer_list<std::int64_t> widths) {
  const std::int64_t heads = value.positive_integer();
  for (const std::int64_t width : widths) {
    if (width % heads != 0) {
      value.expected(fmt::format("a divisor of the {} features of its input", width));
    }
  }
  return heads;
}

LayerOutput read_attention(JsonObject& object, Inputs inputs, Layer& layer) {
  const std::int64_t q = inputs[0].features, k = inputs[1].features, v = inputs[2].features;
  AttentionShape shape;
  const JsonValue heads = object.required("heads");
  const auto kv_heads = object.optional("kv_heads");
  shape.heads = read_heads(heads, {q});
  shape.kv_heads = read_heads(kv_heads.value_or(heads), {k, v});
  shape.qk_features = q / shape.heads;
  shape.v_features = v / shape.kv_heads;
  if (k / shape.kv_heads != shape.qk_features) {
    reject(fmt::format("{}: expected heads of keys as wide as those of queries, {}, got {}",
                       object.place(), shape.qk_features, k / shape.kv_heads));
  }
  if (shape.heads % shape.kv_heads != 0) {
    kv_heads.value_or(heads).expected(fmt::format("a divisor of its {} heads", shape.heads));
  }
  if (shape.v_features > kMostFeatures / shape.heads) heads.expected("at most 10000000 features");
  if (const auto causal = object.optional("causal")) shape.causal = causal->boolean();
  if (const auto window = object.optional("window")) {
    shape.window = window->integer(1, kMostFeatures);
  }
  if (const auto dropout = object.optional("dropout")) shape.dropout = dropout->boolean();
  layer.out_features = shape.heads * shape.v_features;
  layer.positions = inputs[0].positions;
  layer.shape = shape;
  return {.features = layer.out_features, .positions = layer.positions};
}

void write_attention(const Layer& layer, Json& json) {
  const auto& shape = shape_of<AttentionShape>(layer);
  if (shape.shared_key_features > 0 || shape.bias_rows > 0) {
    reject(fmt::format("layer {}: a file cannot hold shared keys or a learned bias of attention",
                       printable(layer.name, 100)));
  }
  json["heads"] = shape.heads;
  if (shape.kv_heads != shape.heads) json["kv_heads"] = shape.kv_heads;
  if (!shape.causal) json["causal"] = false;
  if (shape.window > 0) json["window"] = shape.window;
  if (shape.dropout) json["dropout"] = true;
}

/// `Read` of the only input.
template <LayerOutput (*Read)(JsonObject&, const LayerOutput&, Layer&)>
LayerOutput of_one(JsonObject& object, Inputs inputs, Layer& layer) {
  return Read(object, inputs[0], layer);
}

// The kinds of a file, in the order in which messages list them.
constexpr auto kFileKinds = std::to_array<FileKind>({
    {LayerKind::linear, read_linear, write_linear},
    {LayerKind::conv2d, of_one<read_conv2d>, write_conv2d},
    {LayerKind::batch_norm, keep, write_nothing},
    {LayerKind::layer_norm, read_norm, write_norm},
    {LayerKind::rms_norm, read_norm, write_norm},
    {LayerKind::max_pool, of_one<read_pool>, write_pool},
    {LayerKind::average_pool, of_one<read_pool>, write_pool},
    {LayerKind::flatten, of_one<read_flatten>, write_nothing},
    {LayerKind::add, keep, write_nothing, true, true},
    {LayerKind::concat, read_concat, write_nothing, true},
    {LayerKind::relu, keep, write_nothing},
    {LayerKind::gelu, keep, write_nothing},
    {LayerKind::gelu_tanh, keep, write_nothing},
    {LayerKind::silu, keep, write_nothing},
    {LayerKind::relu_squared, keep, write_nothing},
    {LayerKind::tanh, keep, write_nothing},
    {LayerKind::gated_silu, keep, write_nothing, true, true},
    {LayerKind::gated_gelu, keep, write_nothing, true, true},
    {LayerKind::dropout, keep, write_nothing},
    {LayerKind::embedding, read_embedding, write_table},
    {LayerKind::position_embedding, read_position_embedding, write_table},
    {LayerKind::class_token, read_class_token, write_nothing},
    {LayerKind::rotary, keep, write_nothing},
    {LayerKind::attention, read_attention, write_attention},
    {LayerKind::select, read_select, write_nothing},
});

const FileKind* file_kind(LayerKind kind) {
  const auto found = std::find_if(kFileKinds.begin(), kFileKinds.end(),
                                  [&](const FileKind& one) { return one.kind == kind; });
  return found == kFileKinds.end() ? nullptr : &*found;
}

std::string kind_names() {
  std::string names;
  for (const FileKind& one : kFileKinds) {
    const bool last = &one == &kFileKinds.back();
    names += (names.empty() ? "" : last ? " or " : ", ") + std::string(name(one.kind));
  }
  return names;
}

void check_same(const JsonValue& value, const LayerOutput& first, const LayerOutput& other,
                bool features) {
  if (features && other.features != first.features) {
    value.expected(fmt::format("an input of {} features, as the first has (this has {})",
                               first.features, other.features));
  }
  if (other.positions != first.positions || other.height != first.height) {
    value.expected(fmt::format("an input of {}, as the first has (this has {})",
                               describe_rows(first), describe_rows(other)));
  }
}

}  // namespace

LayerOutput image_of(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return {.features = channels,
          .positions = {.fixed = height * width},
          .height = height,
          .width = width};
}

std::string describe_rows(const LayerOutput& output) {
  if (output.image()) return fmt::format("{} x {} pixels", output.height, output.width);
  const Positions& rows = output.positions;
  if (rows.source == 0 && rows.target == 0) {
    return fmt::format("{} row{}", rows.fixed, rows.fixed == 1 ? "" : "s");
  }
  return rows.fixed == 0 ? "a row a token" : fmt::format("a row a token and {} more", rows.fixed);
}

LayerKind read_layer_kind(const JsonValue& type) {
  const auto kind = layer_kind_named(type.text());
  if (!kind || file_kind(*kind) == nullptr) type.expected(kind_names());
  return *kind;
}

void check_inputs(LayerKind kind, std::span<const JsonValue> values, Inputs inputs) {
  const FileKind& rules = *file_kind(kind);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (rules.same_rows) check_same(values[i], inputs[0], inputs[i], rules.same_features);
  }
  if (kind == LayerKind::attention) check_same(values[2], inputs[1], inputs[2], false);
}

LayerOutput read_layer_shape(JsonObject& object, Inputs inputs, Layer& layer) {
  for (const LayerOutput& input : inputs) {
    if (!input.ids || layer.kind == LayerKind::embedding) continue;
    reject(fmt::format("{}: expected an embedding to take the tokens, got {}", object.place(),
                       name(layer.kind)));
  }
  layer.in_features = layer.out_features = inputs[0].features;
  return file_kind(layer.kind)->read(object, inputs, layer);
}

void write_layer_shape(const Layer& layer, Json& json) {
  const FileKind* kind = file_kind(layer.kind);
  if (kind == nullptr) {
    reject(fmt::format("layer {}: a model file cannot hold {}", printable(layer.name, 100),
                       name(layer.kind)));
  }
  kind->write(layer, json);
}

}  // namespace foreplan
