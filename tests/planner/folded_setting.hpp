#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "planner/folded_step.hpp"
#include "sim/error.hpp"
#include "tests/planner/fake_cost_model.hpp"

// Devices and costs of tests of FoldedStep.

namespace foreplan {

inline constexpr Duration kOp = std::chrono::microseconds(10);

/// Every op takes as long, but for those that only add what arrives; copies go over the links.
class LinkModel final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec&) const override {
    return op.key.op == "accumulate" ? Duration::zero() : kOp;
  }
  std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override {
    return std::nullopt;
  }
  Duration dispatch(const DeviceSpec&) const override { return Duration::zero(); }
  Duration handover() const override { return Duration::zero(); }
};

inline DeviceSpec big_device() {
  DeviceSpec device = fake_device(1000_GB);
  device.peak[DType::fp16] = 10_TFLOPps;
  return device;
}

/// One node of `devices`, in shorthand: closed forms know it.
inline Cluster node(int devices) {
  const Cluster full = fake_cluster(devices, big_device());
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < devices; ++d) {
    links.push_back({VertexId{d}, VertexId{devices}, 10_GBps, Duration::zero()});
  }
  return {"node",
          {.specs = {big_device()},
           .vertices = full.vertices(),
           .links = links,
           .node_groups = {{.nodes = 1,
                            .spec = 0,
                            .devices_per_node = devices,
                            .intra = LinkFacts{10_GBps, Duration::zero()}}}}};
}

/// What is said about a step that cannot be laid out.
inline std::string complaint(const Task& task, const Strategy& strategy) {
  try {
    FoldedStep step(task, strategy);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

}  // namespace foreplan
