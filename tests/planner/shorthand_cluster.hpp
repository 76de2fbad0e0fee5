#pragma once

#include "tests/planner/fake_cost_model.hpp"

namespace foreplan {

/// One node of equal devices in shorthand: closed forms know it.
inline Cluster shorthand_node(int devices, const DeviceSpec& device,
                              Bandwidth bandwidth = 100_GBps) {
  const Cluster full = fake_cluster(devices, device);
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < devices; ++d) {
    links.push_back({VertexId{d}, VertexId{devices}, bandwidth, Duration::zero()});
  }
  return {"node",
          {.specs = {device},
           .vertices = full.vertices(),
           .links = links,
           .node_groups = {{.nodes = 1,
                            .spec = 0,
                            .devices_per_node = devices,
                            .intra = LinkFacts{bandwidth, Duration::zero()}}}}};
}

}  // namespace foreplan
