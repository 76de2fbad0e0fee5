#pragma once

#include <nlohmann/json_fwd.hpp>

#include "models/layer_io.hpp"

namespace foreplan {

/// conv2d: `out_channels`, `kernel`, `stride?` (1), `padding?` (0), `groups?` (1), `bias?`,
/// `in_channels?` (checked). `kernel` and `padding` are a number or [height, width].
LayerOutput read_conv2d(JsonObject& object, const LayerOutput& input, Layer& layer);
void write_conv2d(const Layer& layer, nlohmann::ordered_json& json);

/// max_pool and average_pool: `kernel`, `stride?` (a square kernel's side), `padding?` (0, at most
/// half the kernel); or `global`: the window is the whole image.
LayerOutput read_pool(JsonObject& object, const LayerOutput& input, Layer& layer);
void write_pool(const Layer& layer, nlohmann::ordered_json& json);

/// All pixels of an image, or all rows, side by side.
LayerOutput read_flatten(JsonObject& object, const LayerOutput& input, Layer& layer);

}  // namespace foreplan
