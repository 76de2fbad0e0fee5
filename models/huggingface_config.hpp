#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/transformer.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {

/// The names that one key goes by; the first is the library's own, the others are taken too.
using KeyNames = std::vector<const char*>;

/// A Hugging Face config, value by value. Where a value may be left out, null counts as left out unless
/// it has a meaning of its own.
class HuggingfaceConfig {
 public:
  explicit HuggingfaceConfig(JsonObject object) : object_(std::move(object)) {}

  /// The value under the first of the names that stands in the file; null too.
  std::optional<JsonValue> find(const KeyNames& names);
  bool has(const KeyNames& names);

  /// A size, 1 to kMostFeatures, of a key that must be there.
  std::int64_t size(const KeyNames& names);
  std::int64_t size(const KeyNames& names, std::int64_t otherwise);
  /// A size that may be switched off: 0 where it is null or 0, `otherwise` where it is left out.
  std::int64_t size_or_none(const KeyNames& names, std::int64_t otherwise);
  bool flag(const char* key, bool otherwise);
  std::string text(const KeyNames& names, const char* otherwise);
  /// Whether the probability under this key is over 0.
  bool drops(const KeyNames& names, double otherwise);

  LayerKind activation(const KeyNames& names, const char* otherwise);
  /// The same with a gate beside it.
  LayerKind gated_activation(const KeyNames& names, const char* otherwise);
  std::int64_t layers(const KeyNames& names);

  /// `hidden` over the number of heads.
  std::int64_t head_features(std::int64_t hidden, std::int64_t heads) const;
  /// `"layer_types"`: a window on each layer that is called `windowed`; empty if left out.
  std::vector<std::int64_t> windows(std::int64_t layers, std::int64_t window,
                                    std::string_view windowed = "sliding_attention");

  [[noreturn]] void fail(const std::string& what) const;

 private:
  JsonObject object_;
};

/// The family's activation of this name; empty if there is none.
std::optional<LayerKind> activation_named(std::string_view name);
std::optional<LayerKind> gated_activation_named(std::string_view name);
/// The names that the two above know.
std::string known_activations(bool gated);

/// One of the library's model types.
struct HuggingfaceFamily {
  const char* model_type;
  std::vector<KeyNames> needed;
  TransformerShape (*read)(HuggingfaceConfig& config);
};
// One group a file.
std::span<const HuggingfaceFamily> gpt_families();
std::span<const HuggingfaceFamily> llama_families();
std::span<const HuggingfaceFamily> deepseek_families();
std::span<const HuggingfaceFamily> encoder_families();

}  // namespace foreplan
