#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "models/stack_io.hpp"
#include "sim/error.hpp"
#include "sim/json_text.hpp"
#include "tools/commands.hpp"
#include "tools/hardware_text.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kSourceInTerminal = 60;
constexpr std::size_t kWholeSource = 100'000;

/// A list in both forms; `footer` stands below the table.
struct Listing {
  Json rows = Json::array();
  TextTable table;
  std::string footer{};
};

Listing list_models(std::size_t most) {
  Listing list{.table = TextTable({"model", "layers", "parameters", "source"})};
  for (const std::string& name : shipped_names("zoo")) {
    const OpGraph model = load_model(name);
    list.rows.push_back({{"name", name},
                         {"layers", model.size()},
                         {"parameters", model.parameter_count()},
                         {"source", model.source()}});
    list.table.add({name, fmt::format("{}", model.size()),
                    fmt::format("{}", model.parameter_count()), printable(model.source(), most)});
  }
  return list;
}

Listing list_devices(std::size_t most) {
  DeviceTableText text;
  Listing list{.table = TextTable({""})};
  for (const std::string& name : shipped_names("devices")) {
    const DeviceSpec device = load_device(name);
    list.rows.push_back(device_json(device));
    text.add(device, most);
  }
  list.table = text.table();
  list.footer =
      "Peaks are dense, in TFLOP/s; bandwidths are one direction; SMs: multiprocessors or compute "
      "units.\n`foreplan show NAME` tells where each number comes from.\n";
  return list;
}

Listing list_clusters(std::size_t most) {
  ClusterTableText text;
  Listing list{.table = TextTable({""})};
  for (const std::string& name : shipped_names("clusters")) {
    const Cluster cluster = load_cluster(name);
    list.rows.push_back(cluster_json(cluster));
    text.add(cluster, most);
  }
  list.table = text.table();
  list.footer =
      "Bandwidths are one direction. A name with x and a number behind it is so many nodes: "
      "dgx-a100x64.\n";
  return list;
}

Listing list_stacks(std::size_t most) {
  Listing list{.table = TextTable({"stack", "source"})};
  for (const std::string& name : shipped_names("stacks")) {
    const Stack stack = read_stack(find_resource("stacks", name));
    list.rows.push_back({{"name", name}, {"source", stack.source}});
    list.table.add({name, printable(stack.source, most)});
  }
  return list;
}

Listing listing(const std::string& what, std::size_t most) {
  if (what == "models") return list_models(most);
  if (what == "devices") return list_devices(most);
  if (what == "clusters") return list_clusters(most);
  if (what == "stacks") return list_stacks(most);
  reject(fmt::format("list: expected models, devices, clusters or stacks, got '{}'", what));
}

}  // namespace

void run_list(const ListCommand& command, std::ostream& out) {
  if (command.json && command.markdown) reject("list: expected one of --json and --markdown");
  const Listing list = listing(command.what, command.markdown ? kWholeSource : kSourceInTerminal);
  if (command.json) {
    out << Json{{command.what, list.rows}}.dump(2) << "\n";
  } else if (command.markdown) {
    out << list.table.markdown();
  } else {
    out << list.table.text() << (list.footer.empty() ? "" : "\n" + list.footer);
  }
}

}  // namespace foreplan
