#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "tools/commands.hpp"
#include "tools/hardware_text.hpp"
#include "tools/model_text.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// The kind of a file by its key "schema"; "model" where it has none, as a config.json.
std::string kind_of_file(const std::string& path) {
  const JsonDocument document = JsonDocument::read(path);
  if (!document.value().is_object()) return "model";
  const auto schema = document.value().object().optional("schema");
  if (!schema || !schema->is_text()) return "model";
  const std::string text = schema->text();
  for (const char* kind : {"cluster", "device"}) {
    if (text.starts_with(std::string("foreplan.") + kind + "/")) return kind;
  }
  return "model";
}

/// The first of model, cluster and device that is shipped under that name; model if none is.
std::string kind_of_name(const std::string& name) {
  const auto ships = [&](const char* kind) {
    const std::vector<std::string> names = shipped_names(kind);
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (ships("zoo")) return "model";
  if (names_cluster(name)) return "cluster";
  return ships("devices") ? "device" : "model";
}

Json with_kind(const char* kind, const Json& json) {
  Json whole{{"kind", kind}};
  whole.update(json);
  return whole;
}

void show_device(const DeviceSpec& device, bool json, std::ostream& out) {
  if (!json) out << describe(device);
  if (json) out << with_kind("device", device_json(device)).dump(2) << "\n";
}

void show_cluster(const Cluster& cluster, bool json, std::ostream& out) {
  if (!json) out << describe(cluster);
  if (json) out << with_kind("cluster", cluster_json(cluster)).dump(2) << "\n";
}

}  // namespace

void run_show(const ShowCommand& command, std::ostream& out) {
  std::string kind = command.kind;
  if (kind.empty()) {
    kind = is_file_name(command.name) ? kind_of_file(command.name) : kind_of_name(command.name);
  }
  if (kind == "device") return show_device(load_device(command.name), command.json, out);
  if (kind == "cluster") return show_cluster(load_cluster(command.name), command.json, out);
  if (kind != "model") {
    reject(fmt::format("--kind: expected model, cluster or device, got '{}'", kind));
  }
  const OpGraph model = load_model(command.name);
  const SequenceLengths lengths = lengths_to_show(model, command.tokens);
  if (!command.json) out << describe(model, lengths);
  if (command.json) out << model_json(model, lengths).dump(2) << "\n";
}

}  // namespace foreplan
