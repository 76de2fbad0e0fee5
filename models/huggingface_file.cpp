#include "models/huggingface_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "models/huggingface.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// The name that the config gives the network, else the file's, else its folder's.
std::string network_name(JsonObject& config, const std::filesystem::path& path) {
  if (const auto given = config.optional("_name_or_path"); given && given->is_text()) {
    if (std::string name = given->text(); !name.empty()) return name;
  }
  const std::string folder = path.parent_path().filename().string();
  return path.stem() == "config" && !folder.empty() ? folder : path.stem().string();
}

void check_published(const JsonValue& value, const OpGraph& graph) {
  JsonObject published = value.object();
  const JsonValue count = published.required("count");
  const auto part = published.optional("part");
  published.required("source").text();
  published.finish();
  const bool whole = !part || part->text() == "network";
  if (!whole && part->text() != "encoder") part->expected("\"network\" or \"encoder\"");
  const std::int64_t own = whole ? graph.parameter_count() : graph.parameter_count_without_head();
  if (count.positive_integer() != own) {
    count.expected(fmt::format("{}, the parameters of this shape", own));
  }
}

OpGraph model_file(const JsonDocument& document) {
  JsonObject root = document.root("model");
  const std::string name = root.required("name").text();
  const auto source = root.optional("source");
  const auto published = root.optional("published_parameters");
  JsonObject config = root.required("huggingface").object();
  root.finish();
  OpGraph graph = huggingface_graph(std::move(config), name);
  if (source) graph.set_source(source->text());
  if (published) check_published(*published, graph);
  return graph;
}

}  // namespace

std::optional<OpGraph> huggingface_model(const JsonDocument& document,
                                         const std::filesystem::path& path) {
  if (!document.value().is_object()) return std::nullopt;
  JsonObject root = document.value().object();
  if (root.optional("schema")) {
    return root.optional("huggingface") ? std::optional(model_file(document)) : std::nullopt;
  }
  const auto model_type = root.optional("model_type");
  if (!model_type) {
    reject(fmt::format(
        "{}: expected the key \"schema\" to be \"foreplan.model/1\" or, in a Hugging Face "
        "config, \"model_type\" to be one of {}, got neither",
        root.place(), fmt::join(huggingface_model_types(), ", ")));
  }
  const std::string name = network_name(root, path);
  OpGraph graph = huggingface_graph(document.value().object(), name);
  graph.set_source("a Hugging Face config of " + model_type->text());
  return graph;
}

}  // namespace foreplan
