#include <fmt/format.h>

#include <optional>
#include <utility>

#include "sim/cluster_parts.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"

namespace foreplan {
namespace {

LinkFacts read_whole_link(JsonObject object, bool of_node) {
  const Cluster::LinkSpec link = read_link(object);
  LinkFacts facts{.bandwidth = link.bandwidth, .latency = link.latency};
  if (const auto share = object.optional("efficiency")) facts.efficiency = share->share();
  if (const auto setup = object.optional("setup_s")) facts.setup = read_seconds(*setup);
  if (!of_node) {
    if (const auto rate = object.optional("flow_bandwidth_bytes_per_s")) {
      facts.flow = {rate->positive_number()};
    }
  }
  if (of_node) {
    if (const auto share = object.optional("switch_reduction_efficiency")) {
      facts.switch_reduction = share->share();
    }
  }
  object.finish();
  return facts;
}

/// One entry of `nodes`.
NodeGroup read_node(JsonObject object, DeviceTable& devices) {
  NodeGroup node;
  node.nodes = static_cast<int>(object.required("count").integer(1, kMostDevices));
  node.spec = devices.spec(object.required("device"));
  node.devices_per_node = static_cast<int>(object.required("devices_per_node").integer(1, 1024));
  if (const auto shared = object.optional("devices_per_processor")) {
    node.devices_per_processor = static_cast<int>(shared->integer(1, node.devices_per_node));
  }
  if (node.devices_per_node > 1) {
    node.intra = read_whole_link(object.required("intra").object(), true);
  } else if (const auto intra = object.optional("intra")) {
    node.intra = read_whole_link(intra->object(), true);
  }
  if (const auto nics = object.optional("nics_per_node")) {
    node.nics_per_node = static_cast<int>(nics->integer(1, node.devices_per_node));
  }
  if (const auto nic = object.optional("nic")) node.nic = read_whole_link(nic->object(), false);
  object.finish();
  return node;
}

Fabric read_fabric(const std::optional<JsonValue>& value) {
  Fabric fabric;
  if (!value) return fabric;
  JsonObject object = value->object();
  if (const auto over = object.optional("oversubscription")) {
    fabric.oversubscription = over->number(1);
  }
  if (const auto latency = object.optional("latency_s")) fabric.latency = read_seconds(*latency);
  object.finish();
  return fabric;
}

/// Adds the nodes of a shorthand one by one.
class NodeBuilder {
 public:
  NodeBuilder(Cluster::Parts& parts, bool has_fabric) : parts_(parts), has_fabric_(has_fabric) {
    if (has_fabric_) fabric_vertex_ = add_vertex("fabric", VertexKind::network_switch);
  }

  void add(const NodeGroup& node) {
    prefix_ = fmt::format("node{}/", nodes_);
    std::vector<VertexId> devices;
    for (int i = 0; i < node.devices_per_node; ++i) {
      devices.push_back(add_vertex(fmt::format("device{}", i), VertexKind::device, node.spec));
      parts_.vertices.back().node = nodes_;
      if (node.devices_per_processor == 1) continue;
      parts_.vertices.back().processor =
          fmt::format("{}processor{}", prefix_, i / node.devices_per_processor);
    }
    const std::vector<VertexId> ports = join_devices(node, devices);
    if (has_fabric_ && node.nic) join_fabric(node, ports);
    ++nodes_;
  }

 private:
  VertexId add_vertex(const std::string& id, VertexKind kind, std::int32_t spec = -1) {
    parts_.vertices.push_back({prefix_ + id, kind, spec});
    return VertexId{static_cast<std::int32_t>(parts_.vertices.size() - 1)};
  }

  void join(VertexId a, VertexId b, Bandwidth bandwidth, Duration latency) {
    parts_.links.push_back({a, b, bandwidth, latency, true});
  }

  /// @return where each NIC sits
  std::vector<VertexId> join_devices(const NodeGroup& node, const std::vector<VertexId>& devices) {
    if (!node.intra) return devices;  // a node of one device
    const VertexId center = add_vertex("switch", VertexKind::network_switch);
    std::vector<VertexId> ports{center};
    if (node.nics_per_node > 1) {
      ports.clear();
      for (int nic = 0; nic < node.nics_per_node; ++nic) {
        ports.push_back(add_vertex(fmt::format("nic{}", nic), VertexKind::network_switch));
      }
    }
    std::vector<int> members(ports.size());
    for (std::size_t i = 0; i < devices.size(); ++i) {
      const std::size_t port = i * ports.size() / devices.size();
      ++members[port];
      join(devices[i], ports[port], node.intra->achieved(), node.intra->latency / 2);
    }
    for (std::size_t port = 0; node.nics_per_node > 1 && port < ports.size(); ++port) {
      join(ports[port], center, {node.intra->achieved().bytes_per_s * members[port]}, {});
    }
    return ports;
  }

  void join_fabric(const NodeGroup& node, const std::vector<VertexId>& ports) {
    const Duration half = parts_.fabric.latency / 2;
    const bool has_leaf = parts_.fabric.oversubscription > 1;
    const VertexId up = has_leaf ? add_vertex("leaf", VertexKind::network_switch) : fabric_vertex_;
    for (const VertexId port : ports) {
      join(port, up, node.nic->achieved(), node.nic->latency + (has_leaf ? Duration{} : half));
    }
    if (!has_leaf) return;
    const double total = node.nic->achieved().bytes_per_s * static_cast<double>(ports.size());
    join(up, fabric_vertex_, {total / parts_.fabric.oversubscription}, half);
  }

  Cluster::Parts& parts_;
  bool has_fabric_;
  VertexId fabric_vertex_{-1};
  std::string prefix_;
  int nodes_ = 0;
};

void build_nodes(Cluster::Parts& parts, bool has_fabric) {
  NodeBuilder builder(parts, has_fabric);
  for (const NodeGroup& group : parts.node_groups) {
    for (int i = 0; i < group.nodes; ++i) builder.add(group);
  }
}

/// @return the nodes of all entries together
std::int64_t read_nodes(const std::vector<JsonValue>& values, int nodes, Cluster::Parts& parts,
                        DeviceTable& devices) {
  std::int64_t total_nodes = 0;
  std::int64_t total = 0;
  for (const JsonValue& value : values) {
    NodeGroup group = read_node(value.object(), devices);
    if (nodes > 0) group.nodes = nodes;
    total_nodes += group.nodes;
    total += std::int64_t{group.nodes} * group.devices_per_node;
    if (total > kMostDevices) {
      reject(fmt::format("{}: expected at most {} devices in all, got {}", value.place(),
                         kMostDevices, total));
    }
    parts.node_groups.push_back(group);
  }
  return total_nodes;
}

}  // namespace

void read_shorthand(JsonObject& root, int nodes, Cluster::Parts& parts, DeviceTable& devices) {
  const JsonValue list = root.required("nodes");
  const std::vector<JsonValue> values = list.array();
  if (nodes > 0 && values.size() != 1) {
    reject(fmt::format("{}: expected one kind of node, so that there can be {} of it, got {} kinds",
                       list.place(), nodes, values.size()));
  }
  const std::int64_t all_nodes = read_nodes(values, nodes, parts, devices);
  for (std::size_t i = 0; i < values.size() && all_nodes > 1; ++i) {
    if (parts.node_groups[i].nic) continue;
    reject(values[i].place() +
           ": expected the key \"nic\" where there are several nodes, got none");
  }
  parts.fabric = read_fabric(root.optional("fabric"));
  build_nodes(parts, all_nodes > 1);
}

Cluster make_cluster(std::string name, const DeviceSpec& device, const NodeGroup& node,
                     const Fabric& fabric) {
  if (node.nodes > 1 && !node.nic) reject("cluster " + name + ": several nodes need NICs");
  Cluster::Parts parts;
  parts.specs = {device};
  parts.node_groups = {node};
  parts.node_groups.front().spec = 0;
  parts.fabric = fabric;
  parts.source = device.source;
  build_nodes(parts, node.nodes > 1);
  return Cluster(std::move(name), std::move(parts));
}

}  // namespace foreplan
