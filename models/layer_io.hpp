#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "models/layer.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {

/// Limits of images in files: of a side [pixels], and of all numbers of one.
inline constexpr std::int64_t kMostPixels = 100'000;
inline constexpr std::int64_t kMostImageNumbers = 10'000'000'000;

/// What a layer puts out, or the samples, as the reader of a file sees it.
struct LayerOutput {
  std::int64_t features = 0;  ///< of an image: channels
  Positions positions{};      ///< of an image: height * width
  std::int64_t height = 0;    ///< of an image; 0: it is none
  std::int64_t width = 0;
  bool ids = false;  ///< token ids, which only an embedding takes

  bool image() const { return height > 0; }
};

/// `features` channels of `height` x `width`.
LayerOutput image_of(std::int64_t channels, std::int64_t height, std::int64_t width);
/// How many rows it has, for messages: "56 x 56 pixels", "1 row", "a row a token".
std::string describe_rows(const LayerOutput& output);

/// The kind that a file's `type` names.
/// @throws Error(invalid_argument) listing those that a file may hold
LayerKind read_layer_kind(const JsonValue& type);

/// Refuses inputs that do not go together, at the place of the one that differs.
/// @param values  the entries of `inputs`
void check_inputs(LayerKind kind, std::span<const JsonValue> values,
                  std::span<const LayerOutput> inputs);

/// Reads the keys of the layer's kind and derives what they leave open: widths, rows, heights.
/// @param layer   its name and kind are known
/// @param inputs  as many as the kind takes
/// @throws Error(invalid_argument) naming file and place
LayerOutput read_layer_shape(JsonObject& object, std::span<const LayerOutput> inputs, Layer& layer);

/// Writes those keys.
/// @throws Error(invalid_argument) if a file cannot hold such a layer
void write_layer_shape(const Layer& layer, nlohmann::ordered_json& json);

}  // namespace foreplan
