#include "models/huggingface.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "models/huggingface_config.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

std::vector<const HuggingfaceFamily*> families() {
  std::vector<const HuggingfaceFamily*> all;
  for (const auto group :
       {gpt_families(), llama_families(), deepseek_families(), encoder_families()}) {
    for (const HuggingfaceFamily& family : group) all.push_back(&family);
  }
  std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) {
    return std::string_view(a->model_type) < b->model_type;
  });
  return all;
}

const HuggingfaceFamily* family_named(std::string_view model_type) {
  for (const HuggingfaceFamily* family : families()) {
    if (family->model_type == model_type) return family;
  }
  return nullptr;
}

const HuggingfaceFamily& read_family(JsonObject& config) {
  const auto known = [] {
    return fmt::format("one of {}", fmt::join(huggingface_model_types(), ", "));
  };
  const auto value = config.optional("model_type");
  if (!value) {
    reject(
        fmt::format("{}: expected the key \"model_type\", {}, got none", config.place(), known()));
  }
  const HuggingfaceFamily* family = family_named(value->text());
  if (family == nullptr) value->expected(known());
  return *family;
}

void check_keys(const HuggingfaceFamily& family, HuggingfaceConfig& config) {
  for (const KeyNames& names : family.needed) {
    if (config.find(names)) continue;
    config.fail(fmt::format("expected the key \"{}\", got none (a config of {} has {})",
                            fmt::join(names, "\" or \""), family.model_type,
                            fmt::join(huggingface_keys(family.model_type), ", ")));
  }
}

}  // namespace

std::vector<std::string_view> huggingface_model_types() {
  std::vector<std::string_view> names;
  for (const HuggingfaceFamily* family : families()) names.push_back(family->model_type);
  return names;
}

std::vector<std::string> huggingface_keys(std::string_view model_type) {
  std::vector<std::string> keys;
  const HuggingfaceFamily* family = family_named(model_type);
  if (family == nullptr) return keys;
  for (const KeyNames& names : family->needed)
    keys.push_back(fmt::format("{}", fmt::join(names, " or ")));
  return keys;
}

TransformerShape huggingface_shape(JsonObject object, const std::string& name) {
  const HuggingfaceFamily& family = read_family(object);
  HuggingfaceConfig config(std::move(object));
  check_keys(family, config);
  TransformerShape shape = family.read(config);
  shape.name = name;
  return shape;
}

OpGraph huggingface_graph(JsonObject config, const std::string& name) {
  const std::string place = config.place();
  const TransformerShape shape = huggingface_shape(std::move(config), name);
  try {
    return build_transformer(shape);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", place, error.what()));
  }
}

}  // namespace foreplan
