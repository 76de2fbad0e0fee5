#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/cost_model.hpp"

namespace foreplan {

/// Costs as a test tells them; what it does not tell takes no time.
class FakeCostModel final : public CostModel {
 public:
  std::function<Duration(const OpKey&)> op;
  std::function<Duration(Bytes)> copy;
  Duration dispatch_time{};
  Duration handover_time{};

  Duration compute_time(const Op& asked, const DeviceSpec&) const override {
    return op ? op(asked.key) : Duration::zero();
  }
  std::optional<Duration> copy_time(Bytes size, DeviceId, DeviceId) const override {
    return copy ? copy(size) : Duration::zero();
  }
  Duration dispatch(const DeviceSpec&) const override { return dispatch_time; }
  Duration handover() const override { return handover_time; }
};

inline DeviceSpec fake_device(Bytes memory = 1_GB) {
  return {.name = "fake",
          .memory = memory,
          .peak = {{DType::fp32, 1_TFLOPps}},
          .memory_bandwidth = 100_GBps,
          .source = "made up"};
}

/// Equal devices around one switch.
inline Cluster fake_cluster(int devices, const DeviceSpec& device = fake_device()) {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < devices; ++d) {
    vertices.push_back({.id = "d" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
    links.push_back({VertexId{d}, VertexId{devices}, 10_GBps, Duration::zero()});
  }
  vertices.push_back({.id = "switch", .kind = VertexKind::network_switch});
  return {"fake", {device}, vertices, links};
}

}  // namespace foreplan
