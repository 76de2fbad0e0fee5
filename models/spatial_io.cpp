#include "models/spatial_io.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sim/error.hpp"

namespace foreplan {
namespace {

struct Pair {
  std::int64_t height = 0, width = 0;
};

/// A number for both, or [height, width].
Pair read_pair(const JsonValue& value, std::int64_t least) {
  if (!value.is_array()) {
    const std::int64_t side = value.integer(least, kMostPixels);
    return {side, side};
  }
  const std::vector<JsonValue> sides = value.array();
  if (sides.size() != 2) value.expected("a number or [height, width]");
  return {sides[0].integer(least, kMostPixels), sides[1].integer(least, kMostPixels)};
}

nlohmann::ordered_json pair_json(std::int64_t height, std::int64_t width) {
  if (height == width) return height;
  return {height, width};
}

SpatialShape window_over(const JsonObject& object, const LayerOutput& input) {
  if (!input.image()) {
    reject(fmt::format("{}: expected an image as its input, got {} features in {}", object.place(),
                       input.features, describe_rows(input)));
  }
  SpatialShape shape;
  shape.in_height = input.height;
  shape.in_width = input.width;
  return shape;
}

void read_kernel(JsonObject& object, SpatialShape& shape) {
  const JsonValue value = object.required("kernel");
  const Pair kernel = read_pair(value, 1);
  shape.kernel_height = kernel.height;
  shape.kernel_width = kernel.width;
  const auto padded = object.optional("padding");
  if (padded) {
    const Pair padding = read_pair(*padded, 0);
    shape.padding_height = padding.height;
    shape.padding_width = padding.width;
  }
  const std::int64_t height = shape.in_height + 2 * shape.padding_height;
  const std::int64_t width = shape.in_width + 2 * shape.padding_width;
  if (shape.kernel_height > height || shape.kernel_width > width) {
    value.expected(
        fmt::format("at most {} x {}, its input{}", height, width, padded ? " with padding" : ""));
  }
}

LayerOutput leave(const JsonObject& object, Layer& layer, const SpatialShape& shape) {
  const LayerOutput output = image_of(layer.out_features, shape.out_height(), shape.out_width());
  const bool fits = output.height <= kMostPixels && output.width <= kMostPixels &&
                    output.positions.fixed <= kMostImageNumbers / output.features;
  if (!fits) {
    reject(fmt::format("{}: expected an output of at most {} numbers, got {} channels of {} x {}",
                       object.place(), kMostImageNumbers, output.features, output.height,
                       output.width));
  }
  layer.positions = output.positions;
  layer.shape = shape;
  return output;
}

void read_channels(JsonObject& object, Layer& layer, SpatialShape& shape) {
  const JsonValue out = object.required("out_channels");
  layer.out_features = out.integer(1, kMostFeatures);
  const auto in = object.optional("in_channels");
  if (in && in->positive_integer() != layer.in_features) {
    in->expected(fmt::format("{}, the channels of its input", layer.in_features));
  }
  if (const auto groups = object.optional("groups")) {
    shape.groups = groups->positive_integer();
    if (layer.in_features % shape.groups != 0 || layer.out_features % shape.groups != 0) {
      groups->expected(fmt::format("a divisor of its {} and {} channels", layer.in_features,
                                   layer.out_features));
    }
  }
  if (const auto bias = object.optional("bias")) layer.bias = bias->boolean();
}

void check_pool_padding(const JsonObject& object, const SpatialShape& shape) {
  if (2 * shape.padding_height <= shape.kernel_height &&
      2 * shape.padding_width <= shape.kernel_width) {
    return;
  }
  reject(fmt::format("{}/padding: expected at most half of the kernel, {} x {}, got {} x {}",
                     object.place(), shape.kernel_height / 2, shape.kernel_width / 2,
                     shape.padding_height, shape.padding_width));
}

void read_pool_stride(JsonObject& object, SpatialShape& shape) {
  if (const auto stride = object.optional("stride")) {
    shape.stride = stride->integer(1, kMostPixels);
    return;
  }
  if (shape.kernel_height != shape.kernel_width) object.required("stride");
  shape.stride = shape.kernel_height;
}

bool whole_image(const SpatialShape& shape) {
  return shape.kernel_height == shape.in_height && shape.kernel_width == shape.in_width &&
         shape.stride == 1 && shape.padding_height == 0 && shape.padding_width == 0;
}

void write_padding(const SpatialShape& shape, nlohmann::ordered_json& json) {
  if (shape.padding_height == 0 && shape.padding_width == 0) return;
  json["padding"] = pair_json(shape.padding_height, shape.padding_width);
}

}  // namespace

LayerOutput read_conv2d(JsonObject& object, const LayerOutput& input, Layer& layer) {
  SpatialShape shape = window_over(object, input);
  read_channels(object, layer, shape);
  read_kernel(object, shape);
  if (const auto stride = object.optional("stride")) shape.stride = stride->integer(1, kMostPixels);
  const std::int64_t fan_in =
      layer.in_features / shape.groups * shape.kernel_height * shape.kernel_width;
  if (fan_in > kMostFeatures) {
    reject(fmt::format("{}: expected at most {} weights an output channel, got {}", object.place(),
                       kMostFeatures, fan_in));
  }
  return leave(object, layer, shape);
}

void write_conv2d(const Layer& layer, nlohmann::ordered_json& json) {
  const auto& shape = shape_of<SpatialShape>(layer);
  json["out_channels"] = layer.out_features;
  json["kernel"] = pair_json(shape.kernel_height, shape.kernel_width);
  if (shape.stride != 1) json["stride"] = shape.stride;
  write_padding(shape, json);
  if (shape.groups != 1) json["groups"] = shape.groups;
  if (!layer.bias) json["bias"] = false;
}

LayerOutput read_pool(JsonObject& object, const LayerOutput& input, Layer& layer) {
  SpatialShape shape = window_over(object, input);
  const auto global = object.optional("global");
  if (global && global->boolean()) {
    shape.kernel_height = shape.in_height;
    shape.kernel_width = shape.in_width;
    return leave(object, layer, shape);
  }
  read_kernel(object, shape);
  check_pool_padding(object, shape);
  read_pool_stride(object, shape);
  return leave(object, layer, shape);
}

void write_pool(const Layer& layer, nlohmann::ordered_json& json) {
  const auto& shape = shape_of<SpatialShape>(layer);
  if (whole_image(shape)) {
    json["global"] = true;
    return;
  }
  json["kernel"] = pair_json(shape.kernel_height, shape.kernel_width);
  json["stride"] = shape.stride;
  write_padding(shape, json);
}

LayerOutput read_flatten(JsonObject& object, const LayerOutput& input, Layer& layer) {
  const Positions& rows = input.positions;
  const bool fixed = rows.source == 0 && rows.target == 0;
  if (!fixed || rows.fixed > kMostFeatures / input.features) {
    reject(fmt::format("{}: expected to flatten at most {} numbers, got {} features in {}",
                       object.place(), kMostFeatures, input.features, describe_rows(input)));
  }
  layer.out_features = input.features * rows.fixed;
  return {.features = layer.out_features};
}

}  // namespace foreplan
