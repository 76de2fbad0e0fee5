#include "models/huggingface_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kMostConfigLayers = 10'000;

using Named = std::pair<std::string_view, LayerKind>;

constexpr auto kActivations = std::to_array<Named>({
    {"gelu", LayerKind::gelu},
    {"gelu_python", LayerKind::gelu},
    {"gelu_new", LayerKind::gelu_tanh},
    {"gelu_fast", LayerKind::gelu_tanh},
    {"gelu_pytorch_tanh", LayerKind::gelu_tanh},
    {"relu", LayerKind::relu},
    {"relu2", LayerKind::relu_squared},
    {"silu", LayerKind::silu},
    {"swish", LayerKind::silu},
    {"tanh", LayerKind::tanh},
});

std::optional<LayerKind> gate_of(LayerKind activation) {
  switch (activation) {
    case LayerKind::silu:
      return LayerKind::gated_silu;
    case LayerKind::gelu:
    case LayerKind::gelu_tanh:
      return LayerKind::gated_gelu;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<LayerKind> activation_named(std::string_view name) {
  const auto found = std::find_if(kActivations.begin(), kActivations.end(),
                                  [&](const Named& named) { return named.first == name; });
  if (found == kActivations.end()) return std::nullopt;
  return found->second;
}

std::optional<LayerKind> gated_activation_named(std::string_view name) {
  const auto activation = activation_named(name);
  return activation ? gate_of(*activation) : std::nullopt;
}

std::string known_activations(bool gated) {
  std::vector<std::string_view> names;
  for (const auto& [name, kind] : kActivations) {
    if (!gated || gate_of(kind)) names.push_back(name);
  }
  return fmt::format("one of {}", fmt::join(names, ", "));
}

std::optional<JsonValue> HuggingfaceConfig::find(const KeyNames& names) {
  for (const char* name : names) {
    if (auto value = object_.optional(name)) return value;
  }
  return std::nullopt;
}

bool HuggingfaceConfig::has(const KeyNames& names) {
  const auto value = find(names);
  return value && !value->is_null();
}

std::int64_t HuggingfaceConfig::size(const KeyNames& names) {
  const auto value = find(names);
  if (!value) object_.required(names.front());
  return value->integer(1, kMostFeatures);
}

std::int64_t HuggingfaceConfig::size(const KeyNames& names, std::int64_t otherwise) {
  const auto value = find(names);
  return value && !value->is_null() ? value->integer(1, kMostFeatures) : otherwise;
}

std::int64_t HuggingfaceConfig::size_or_none(const KeyNames& names, std::int64_t otherwise) {
  const auto value = find(names);
  if (!value) return otherwise;
  return value->is_null() ? 0 : value->integer(0, kMostFeatures);
}

bool HuggingfaceConfig::flag(const char* key, bool otherwise) {
  const auto value = find({key});
  return value && !value->is_null() ? value->boolean() : otherwise;
}

std::string HuggingfaceConfig::text(const KeyNames& names, const char* otherwise) {
  const auto value = find(names);
  return value && !value->is_null() ? value->text() : otherwise;
}

bool HuggingfaceConfig::drops(const KeyNames& names, double otherwise) {
  const auto value = find(names);
  if (!value || value->is_null()) return otherwise > 0;
  const double probability = value->number(0);
  if (probability >= 1) value->expected("a probability below 1");
  return probability > 0;
}

LayerKind HuggingfaceConfig::activation(const KeyNames& names, const char* otherwise) {
  if (const auto kind = activation_named(text(names, otherwise))) return *kind;
  find(names)->expected(known_activations(false));
}

LayerKind HuggingfaceConfig::gated_activation(const KeyNames& names, const char* otherwise) {
  if (const auto kind = gated_activation_named(text(names, otherwise))) return *kind;
  find(names)->expected(known_activations(true));
}

std::int64_t HuggingfaceConfig::layers(const KeyNames& names) {
  const std::int64_t layers = size(names);
  if (layers > kMostConfigLayers) {
    find(names)->expected(fmt::format("at most {} layers", kMostConfigLayers));
  }
  return layers;
}

std::int64_t HuggingfaceConfig::head_features(std::int64_t hidden, std::int64_t heads) const {
  if (hidden % heads != 0) {
    fail(fmt::format("expected a width that divides into its {} heads, got {}", heads, hidden));
  }
  return hidden / heads;
}

std::vector<std::int64_t> HuggingfaceConfig::windows(std::int64_t layers, std::int64_t window,
                                                     std::string_view windowed) {
  const auto types = find({"layer_types"});
  if (!types || types->is_null()) return {};
  std::vector<std::int64_t> windows;
  for (const JsonValue& type : types->array()) {
    const bool slides = type.text() == windowed;
    if (!slides && type.text() != "full_attention") {
      type.expected(fmt::format("\"{}\" or \"full_attention\"", windowed));
    }
    windows.push_back(slides ? window : 0);
  }
  if (std::ssize(windows) != layers)
    types->expected(fmt::format("{} entries, one a layer", layers));
  return windows;
}

void HuggingfaceConfig::fail(const std::string& what) const {
  reject(fmt::format("{}: {}", object_.place(), what));
}

}  // namespace foreplan
