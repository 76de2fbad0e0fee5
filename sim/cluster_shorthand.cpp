#include <fmt/format.h>

#include <optional>
#include <utility>

#include "sim/cluster_parts.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"

namespace foreplan {
namespace {

/// One entry of `nodes`.
struct NodeSpec {
  int count = 0;
  std::int32_t device = -1;
  int devices = 0;
  int devices_per_processor = 1;
  std::optional<Cluster::LinkSpec> intra;
  int nics = 1;
  std::optional<Cluster::LinkSpec> nic;
};

struct Fabric {
  VertexId vertex{};
  double oversubscription = 1;
  Duration latency{};
};

Cluster::LinkSpec read_whole_link(JsonObject object) {
  const Cluster::LinkSpec link = read_link(object);
  object.finish();
  return link;
}

NodeSpec read_node(JsonObject object, DeviceTable& devices) {
  NodeSpec node;
  node.count = static_cast<int>(object.required("count").integer(1, kMostDevices));
  node.device = devices.spec(object.required("device"));
  node.devices = static_cast<int>(object.required("devices_per_node").integer(1, 1024));
  if (const auto shared = object.optional("devices_per_processor")) {
    node.devices_per_processor = static_cast<int>(shared->integer(1, node.devices));
  }
  if (node.devices > 1) {
    node.intra = read_whole_link(object.required("intra").object());
  } else if (const auto intra = object.optional("intra")) {
    node.intra = read_whole_link(intra->object());
  }
  if (const auto nics = object.optional("nics_per_node")) {
    node.nics = static_cast<int>(nics->integer(1, node.devices));
  }
  if (const auto nic = object.optional("nic")) node.nic = read_whole_link(nic->object());
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
  NodeBuilder(ClusterParts& parts, const std::optional<Fabric>& fabric)
      : parts_(parts), fabric_(fabric) {
    if (fabric_) fabric_->vertex = add_vertex("fabric", VertexKind::network_switch);
  }

  void add(const NodeSpec& node) {
    prefix_ = fmt::format("node{}/", nodes_++);
    std::vector<VertexId> devices;
    for (int i = 0; i < node.devices; ++i) {
      devices.push_back(add_vertex(fmt::format("device{}", i), VertexKind::device, node.device));
      if (node.devices_per_processor == 1) continue;
      parts_.vertices.back().processor =
          fmt::format("{}processor{}", prefix_, i / node.devices_per_processor);
    }
    const std::vector<VertexId> ports = join_devices(node, devices);
    if (fabric_ && node.nic) join_fabric(node, ports);
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
  std::vector<VertexId> join_devices(const NodeSpec& node, const std::vector<VertexId>& devices) {
    if (!node.intra) return devices;  // a node of one device
    const VertexId center = add_vertex("switch", VertexKind::network_switch);
    std::vector<VertexId> ports{center};
    if (node.nics > 1) {
      ports.clear();
      for (int nic = 0; nic < node.nics; ++nic) {
        ports.push_back(add_vertex(fmt::format("nic{}", nic), VertexKind::network_switch));
      }
    }
    std::vector<int> members(ports.size());
    for (std::size_t i = 0; i < devices.size(); ++i) {
      const std::size_t port = i * ports.size() / devices.size();
      ++members[port];
      join(devices[i], ports[port], node.intra->bandwidth, node.intra->latency / 2);
    }
    for (std::size_t port = 0; node.nics > 1 && port < ports.size(); ++port) {
      join(ports[port], center, {node.intra->bandwidth.bytes_per_s * members[port]}, {});
    }
    return ports;
  }

  void join_fabric(const NodeSpec& node, const std::vector<VertexId>& ports) {
    const Duration half = fabric_->latency / 2;
    const bool has_leaf = fabric_->oversubscription > 1;
    const VertexId up = has_leaf ? add_vertex("leaf", VertexKind::network_switch) : fabric_->vertex;
    for (const VertexId port : ports) {
      join(port, up, node.nic->bandwidth, node.nic->latency + (has_leaf ? Duration{} : half));
    }
    if (!has_leaf) return;
    const double total = node.nic->bandwidth.bytes_per_s * static_cast<double>(ports.size());
    join(up, fabric_->vertex, {total / fabric_->oversubscription}, half);
  }

  ClusterParts& parts_;
  std::optional<Fabric> fabric_;
  std::string prefix_;
  int nodes_ = 0;
};

}  // namespace

void read_shorthand(JsonObject& root, ClusterParts& parts, DeviceTable& devices) {
  std::vector<NodeSpec> entries;
  const std::vector<JsonValue> values = root.required("nodes").array();
  std::int64_t nodes = 0;
  std::int64_t total = 0;
  for (const JsonValue& value : values) {
    entries.push_back(read_node(value.object(), devices));
    nodes += entries.back().count;
    total += std::int64_t{entries.back().count} * entries.back().devices;
    if (total > kMostDevices) {
      reject(fmt::format("{}: expected at most {} devices in all, got {}", value.place(),
                         kMostDevices, total));
    }
  }
  for (std::size_t i = 0; i < entries.size() && nodes > 1; ++i) {
    if (!entries[i].nic) {
      reject(values[i].place() +
             ": expected the key \"nic\" where there are several nodes, got none");
    }
  }
  const Fabric fabric = read_fabric(root.optional("fabric"));
  NodeBuilder builder(parts, nodes > 1 ? std::optional(fabric) : std::nullopt);
  for (const NodeSpec& entry : entries) {
    for (int i = 0; i < entry.count; ++i) builder.add(entry);
  }
}

}  // namespace foreplan
