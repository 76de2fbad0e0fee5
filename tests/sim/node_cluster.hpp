#pragma once

#include <string>
#include <vector>

#include "tests/sim/graphs.hpp"

namespace foreplan {

/// Nodes that are all alike, as the shorthand of a cluster file has them.
struct NodeClusterSpec {
  int nodes = 1;
  int devices = 1;  ///< of a node, dealt to its NICs in blocks
  int nics = 1;
  bool half_uplink = false;  ///< the fabric takes half of what a node's NICs carry
};

/// 1 us and 100 GB/s inside a node, 5 us across, NICs of 20 GB/s that a node's devices share.
inline Cluster node_cluster(const NodeClusterSpec& spec) {
  using namespace std::chrono_literals;
  std::vector<Vertex> vertices{{.id = "fabric", .kind = VertexKind::network_switch}};
  std::vector<Cluster::LinkSpec> links;
  const auto add = [&](const std::string& id, VertexKind kind) {
    vertices.push_back({.id = id, .kind = kind, .spec = kind == VertexKind::device ? 0 : -1});
    return VertexId{static_cast<std::int32_t>(vertices.size() - 1)};
  };
  for (int n = 0; n < spec.nodes; ++n) {
    const std::string node = "n" + std::to_string(n);
    const VertexId center = add(node + "/switch", VertexKind::network_switch);
    VertexId up{0};
    if (spec.half_uplink) {
      up = add(node + "/leaf", VertexKind::network_switch);
      links.push_back({up, VertexId{0}, {20e9 * spec.nics / 2}, {}});
    }
    const int block = spec.devices / spec.nics;
    for (int nic = 0; nic < spec.nics; ++nic) {
      const VertexId port = add(node + "/nic" + std::to_string(nic), VertexKind::network_switch);
      links.push_back({port, center, {100e9 * block}, {}});
      links.push_back({port, up, 20_GBps, 2us});
      for (int d = 0; d < block; ++d) {
        const std::string id = node + "/d" + std::to_string(nic * block + d);
        links.push_back({add(id, VertexKind::device), port, 100_GBps, 500ns});
      }
    }
  }
  return {"nodes", {plain_device()}, vertices, links};
}

}  // namespace foreplan
