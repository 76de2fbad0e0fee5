#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "models/layer_ops.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "tools/commands.hpp"
#include "tools/hardware_text.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

Json cost_json(const LayerCost& cost) {
  return {{"parameters", cost.parameters},
          {"forward_flops", cost.forward.count},
          {"backward_input_flops", cost.backward_input.count},
          {"backward_weight_flops", cost.backward_weight.count},
          {"forward_bytes", cost.forward_traffic.count},
          {"backward_input_bytes", cost.backward_input_traffic.count},
          {"backward_weight_bytes", cost.backward_weight_traffic.count},
          {"activation_bytes", cost.activation.count}};
}

Json layer_json(const OpGraph& model, LayerId id) {
  const Layer& layer = model.layer(id);
  Json json{{"name", layer.name},
            {"type", name(layer.kind)},
            {"in_features", layer.in_features},
            {"out_features", layer.out_features}};
  json.update(cost_json(layer_cost(model, id, DType::fp32)));
  return json;
}

void add(LayerCost& total, const LayerCost& cost) {
  total.parameters += cost.parameters;
  total.forward += cost.forward;
  total.backward_input += cost.backward_input;
  total.backward_weight += cost.backward_weight;
  total.forward_traffic += cost.forward_traffic;
  total.backward_input_traffic += cost.backward_input_traffic;
  total.backward_weight_traffic += cost.backward_weight_traffic;
  total.activation += cost.activation;
}

LayerCost total_cost(const OpGraph& model) {
  LayerCost total;
  for (std::size_t i = 0; i < model.size(); ++i) {
    add(total, layer_cost(model, LayerId{static_cast<std::int32_t>(i)}, DType::fp32));
  }
  return total;
}

void show_json(const OpGraph& model, std::ostream& out) {
  const std::size_t last = model.size() - 1;
  Json layers = Json::array();
  for (std::size_t i = 0; i < last; ++i) {
    layers.push_back(layer_json(model, LayerId{static_cast<std::int32_t>(i)}));
  }
  const LayerCost total = total_cost(model);
  Json json{{"kind", "model"},
            {"name", model.name()},
            {"source", model.source()},
            {"input_features", model.input_features()},
            {"classes", model.classes()},
            {"dtype", "fp32"},
            {"parameters", total.parameters},
            {"layers", std::move(layers)},
            {"loss", layer_json(model, LayerId{static_cast<std::int32_t>(last)})},
            {"total_per_sample", cost_json(total)}};
  out << json.dump(2) << "\n";
}

std::vector<std::string> cost_cells(const LayerCost& cost) {
  const Bytes traffic =
      cost.forward_traffic + cost.backward_input_traffic + cost.backward_weight_traffic;
  return {fmt::format("{}", cost.parameters), format(cost.forward), format(cost.backward_input),
          format(cost.backward_weight),       format(traffic),      format(cost.activation)};
}

void show_table(const OpGraph& model, std::ostream& out) {
  out << model.name() << ": " << model.source() << "\n\n";
  TextTable table({"layer", "type", "shape", "parameters", "forward", "backward input",
                   "backward weight", "traffic", "activation"});
  const auto row = [&](std::string layer, std::string type, std::string shape,
                       const LayerCost& cost) {
    std::vector<std::string> cells{std::move(layer), std::move(type), std::move(shape)};
    for (std::string& cell : cost_cells(cost)) cells.push_back(std::move(cell));
    table.add(std::move(cells));
  };
  for (std::size_t i = 0; i < model.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const Layer& layer = model.layer(id);
    row(layer.name, std::string(name(layer.kind)),
        fmt::format("{} -> {}", layer.in_features, layer.out_features),
        layer_cost(model, id, DType::fp32));
  }
  row("total", "", "", total_cost(model));
  out << table.text()
      << "\nFLOPs and bytes are for one sample in fp32; traffic counts every input "
         "read once and every output written once.\n";
}

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
  if (command.json) return show_json(model, out);
  show_table(model, out);
}

}  // namespace foreplan
