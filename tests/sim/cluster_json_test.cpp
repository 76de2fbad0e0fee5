#include "sim/cluster_json.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/cluster_io.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

Cluster example() {
  DeviceSpec spec{.name = "gpu \"x\"",
                  .memory = 80_GB,
                  .peak = {{DType::fp32, {6e13}}, {DType::bf16, {9e14}}},
                  .memory_bandwidth = {3.35e12},
                  .launch_overhead = 1234ns,
                  .concurrent_streams = true,
                  .source = "a test"};
  DeviceSpec other = spec;
  other.name = "host";
  other.concurrent_streams = false;
  return {
      "two",
      {spec, other},
      {{.id = "d0", .kind = VertexKind::device, .spec = 0, .processor = "p"},
       {.id = "d1", .kind = VertexKind::device, .spec = 1, .processor = "p"},
       {.id = "s", .kind = VertexKind::network_switch},
       {.id = "h", .kind = VertexKind::host}},
      {{.a = VertexId{0}, .b = VertexId{2}, .bandwidth = 25_GBps, .latency = 3us},
       {.a = VertexId{2}, .b = VertexId{1}, .bandwidth = 5_GBps, .latency = 0us, .duplex = false},
       {.a = VertexId{1}, .b = VertexId{3}, .bandwidth = 1_GBps, .latency = 1ns}}};
}

TEST(ClusterJson, IsReadBackAsTheSameCluster) {
  const Cluster cluster = example();
  const TemporaryFile file("c.json", to_json(cluster, "measured"));
  const Cluster back = read_cluster(file.path(), {});
  EXPECT_EQ(back.name(), "two");
  ASSERT_EQ(back.devices(), 2);
  EXPECT_EQ(back.processors(), 1);
  for (int d = 0; d < 2; ++d) {
    const DeviceSpec& spec = back.device(DeviceId{d});
    const DeviceSpec& expected = cluster.device(DeviceId{d});
    EXPECT_EQ(spec.name, expected.name);
    EXPECT_EQ(spec.memory, expected.memory);
    EXPECT_EQ(spec.peak, expected.peak);
    EXPECT_EQ(spec.memory_bandwidth, expected.memory_bandwidth);
    EXPECT_EQ(spec.launch_overhead, expected.launch_overhead);
    EXPECT_EQ(spec.concurrent_streams, expected.concurrent_streams);
    EXPECT_EQ(spec.source, expected.source);
  }
  ASSERT_EQ(back.links().size(), cluster.links().size());
  EXPECT_EQ(back.capacities(), 5);  // two duplex links and one that shares
  for (std::size_t l = 0; l < back.links().size(); ++l) {
    EXPECT_EQ(back.links()[l].from, cluster.links()[l].from);
    EXPECT_EQ(back.links()[l].bandwidth, cluster.links()[l].bandwidth);
    EXPECT_EQ(back.links()[l].latency, cluster.links()[l].latency);
  }
  EXPECT_EQ(to_json(back, "measured"), to_json(cluster, "measured"));
}

TEST(ClusterJson, NamesItsSourceWhereThereIsOne) {
  const auto json = nlohmann::json::parse(to_json(example(), "measured"));
  EXPECT_EQ(json["source"], "measured");
  EXPECT_EQ(json["vertices"][2]["kind"], "switch");
  EXPECT_FALSE(nlohmann::json::parse(to_json(example(), "")).contains("source"));
}

TEST(ClusterJson, KeepsWhatKernelsReach) {
  DeviceSpec spec{
      .name = "gpu",
      .memory = 80_GB,
      .peak = {{DType::fp16, {9e14}}, {DType::fp8, {2e15}}},
      .memory_bandwidth = {3.35e12},
      .kernels = KernelFacts{.matrix_efficiency = {{DType::fp16, 0.75}, {DType::fp8, 0.5}},
                             .l2_bandwidth = {9.5e12},
                             .tile_overhead = 1234ns,
                             .attention_forward_efficiency = 1.25,
                             .attention_backward_efficiency = 0.875,
                             .attention_generation = 3,
                             .memory_efficiency = 0.625,
                             .memory_ramp = 2345ns,
                             .power_w = 700,
                             .fitted_on = "rows"}};
  spec.kernels->misaligned_efficiency = 0.5;
  spec.kernels->product_power = 1.75;
  const Cluster cluster("one", {spec}, {{.id = "d", .kind = VertexKind::device, .spec = 0}}, {});
  const TemporaryFile file("c.json", to_json(cluster, "measured"));
  const Cluster back = read_cluster(file.path(), {});
  ASSERT_TRUE(back.specs().front().kernels.has_value());
  const KernelFacts &read = *back.specs().front().kernels, &written = *spec.kernels;
  EXPECT_EQ(read.matrix_efficiency, written.matrix_efficiency);
  EXPECT_EQ(read.l2_bandwidth, written.l2_bandwidth);
  EXPECT_EQ(read.tile_overhead, written.tile_overhead);
  EXPECT_EQ(read.attention_forward_efficiency, written.attention_forward_efficiency);
  EXPECT_EQ(read.attention_backward_efficiency, written.attention_backward_efficiency);
  EXPECT_EQ(read.attention_generation, written.attention_generation);
  EXPECT_EQ(read.memory_efficiency, written.memory_efficiency);
  EXPECT_EQ(read.memory_ramp, written.memory_ramp);
  EXPECT_EQ(read.power_w, written.power_w);
  EXPECT_EQ(read.misaligned_efficiency, 0.5);
  EXPECT_EQ(read.product_power, 1.75);
  EXPECT_EQ(read.fitted_on, written.fitted_on);
}

}  // namespace
}  // namespace foreplan
