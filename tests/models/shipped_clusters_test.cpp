// The clusters that foreplan ships: each is read, sourced, connected, and has its published shape.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "sim/cluster_io.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const fs::path kModels = fs::path(FOREPLAN_SOURCE_DIR) / "models";

DeviceSpec device(const std::string& name) {
  return read_device(kModels / "devices" / (name + ".json"));
}

Cluster cluster(const std::string& name, int nodes = 0) {
  return read_cluster(kModels / "clusters" / (name + ".json"), device, nodes);
}

std::vector<Cluster> clusters() {
  std::vector<Cluster> found;
  for (const auto& entry : fs::directory_iterator(kModels / "clusters")) {
    found.push_back(cluster(entry.path().stem()));
    EXPECT_EQ(found.back().name(), entry.path().stem());
  }
  return found;
}

TEST(ShippedClusters, AreAllThere) {
  for (const char* name :
       {"dgx-1", "dgx-2", "dgx-a100", "dgx-h100", "dgx-b200", "gb200-nvl72", "p4d", "p5", "selene",
        "jean-zay", "pcie-box", "a100-v100-pair", "host"}) {
    EXPECT_EQ(cluster(name).name(), name);
  }
}

TEST(ShippedClusters, NameTheirSourceAndJoinAllDevices) {
  for (const Cluster& c : clusters()) {
    EXPECT_FALSE(c.source().empty()) << c.name();
    const DeviceId first{0}, last{c.devices() - 1};
    EXPECT_FALSE(c.route(first, last).empty()) << c.name();
    EXPECT_FALSE(c.route(last, first).empty()) << c.name();
    for (const Link& link : c.links()) EXPECT_GT(link.latency, 0s - 1ns) << c.name();
  }
}

// Where the devices have links of their own and a switch joins them, they can use all of them.
TEST(ShippedClusters, GiveDevicesTheLinksThatTheirDataSheetsTell) {
  for (const Cluster& c : clusters()) {
    for (const NodeGroup& group : c.node_groups()) {
      const DeviceSpec& spec = c.specs()[static_cast<std::size_t>(group.spec)];
      ASSERT_TRUE(group.intra) << c.name();
      EXPECT_EQ(group.intra->bandwidth, spec.link_bandwidth) << c.name();
      if (group.intra->setup == Duration{}) continue;  // told as sold
      EXPECT_EQ(group.intra->efficiency, spec.link_efficiency) << c.name();
      EXPECT_EQ(group.intra->setup, spec.collective_setup) << c.name();
      EXPECT_EQ(group.intra->switch_reduction, spec.switch_reduction) << c.name();
      EXPECT_GT(group.nic->setup, Duration{}) << c.name();
    }
  }
}

struct Shape {
  const char* name;
  int nodes, devices, nics;
  double nic_gbit_per_s;
};

// NIC rates as they are published, in Gb/s a NIC; p5 has four of 100 beside each GPU.
TEST(ShippedClusters, HaveThePublishedShape) {
  for (const Shape& shape :
       {Shape{"dgx-2", 1, 16, 8, 100}, Shape{"dgx-a100", 1, 8, 8, 200},
        Shape{"dgx-h100", 1, 8, 8, 400}, Shape{"dgx-b200", 1, 8, 8, 400},
        Shape{"gb200-nvl72", 1, 72, 72, 400}, Shape{"p4d", 1, 8, 4, 100}, Shape{"p5", 1, 8, 8, 400},
        Shape{"selene", 560, 4480, 8, 200}, Shape{"jean-zay", 52, 416, 4, 100}}) {
    const Cluster c = cluster(shape.name);
    EXPECT_EQ(c.nodes(), shape.nodes) << shape.name;
    EXPECT_EQ(c.devices(), shape.devices) << shape.name;
    ASSERT_EQ(c.node_groups().size(), 1U) << shape.name;
    EXPECT_EQ(c.node_groups()[0].nics_per_node, shape.nics) << shape.name;
    EXPECT_EQ(c.node_groups()[0].nic->bandwidth.bytes_per_s, shape.nic_gbit_per_s * 1e9 / 8);
  }
}

/// Bandwidth of the direct link between two devices [B/s]; 0 if none.
double direct(const Cluster& c, int a, int b) {
  const std::vector<LinkId> route = c.route(DeviceId{a}, DeviceId{b});
  return route.size() == 1 ? c.links()[index(route[0])].bandwidth.bytes_per_s : 0;
}

// Six NVLinks a GPU, of 25 GB/s each; 16 pairs joined, 8 of them by two.
TEST(Dgx1, HasSixNvlinksAtEachGpu) {
  const Cluster c = cluster("dgx-1");
  int single = 0, twofold = 0;
  for (int a = 0; a < 8; ++a) {
    double links = 0;
    for (int b = 0; b < 8; ++b) {
      if (a == b) continue;
      const double count = direct(c, a, b) / 25e9;
      links += count;
      single += count == 1;
      twofold += count == 2;
    }
    EXPECT_EQ(links, 6) << "GPU " << a;
    EXPECT_EQ(links * 25e9, c.device(DeviceId{a}).link_bandwidth.bytes_per_s);
  }
  EXPECT_EQ(single, 2 * 8);
  EXPECT_EQ(twofold, 2 * 8);
}

// GPU 0 has no NVLink to 5. Two NVLinks over GPU 4 would be fewer hops, but a GPU does not forward:
// switch, socket, socket, switch, GPU are five hops at the 15.75 GB/s of PCIe 3.0 x16.
TEST(Dgx1, GoesOverPcieWhereThereIsNoNvlink) {
  const Cluster c = cluster("dgx-1");
  const std::vector<LinkId> route = c.route(DeviceId{0}, DeviceId{5});
  EXPECT_EQ(route.size(), 5U);
  double narrowest = 1e12;
  for (const LinkId id : route) {
    narrowest = std::min(narrowest, c.links()[index(id)].bandwidth.bytes_per_s);
    EXPECT_NE(c.vertices()[index(c.links()[index(id)].to)].id, "gpu4");
  }
  EXPECT_EQ(narrowest, 15.75e9);
}

TEST(PcieBox, JoinsTheTwoHalvesThroughTheSockets) {
  const Cluster c = cluster("pcie-box");
  EXPECT_EQ(c.route(DeviceId{0}, DeviceId{3}).size(), 2U);
  EXPECT_EQ(c.route(DeviceId{0}, DeviceId{4}).size(), 5U);
}

TEST(A100V100Pair, HasTwoKindsOfNodes) {
  const Cluster c = cluster("a100-v100-pair");
  EXPECT_EQ(c.nodes(), 2);
  EXPECT_EQ(c.device(DeviceId{3}).name, "a100-sxm-40gb");
  EXPECT_EQ(c.device(DeviceId{4}).name, "v100-sxm2-32gb");
  EXPECT_EQ(c.node_of(DeviceId{3}), 0);
  EXPECT_EQ(c.node_of(DeviceId{4}), 1);
}

// 2,048 nodes of 8: 16,384 devices. From node to node up and down: 2 us inside, twice 2.5 us of NICs
// and 1 us of fabric.
TEST(ShippedClusters, ScaleToSixteenThousandDevices) {
  const Cluster c = cluster("dgx-a100", 2048);
  EXPECT_EQ(c.name(), "dgx-a100x2048");
  EXPECT_EQ(c.devices(), 16384);
  EXPECT_EQ(c.nodes(), 2048);
  EXPECT_EQ(c.node_of(DeviceId{16383}), 2047);
  Duration latency{};
  for (const LinkId id : c.route(DeviceId{0}, DeviceId{16383})) {
    latency += c.links()[index(id)].latency;
  }
  EXPECT_EQ(latency, 2us + 5us + 1us);
}

// One direct link of 5 GB/s and 500 ns each way.
TEST(ShippedClusters, JoinTheTwoHostDevicesDirectly) {
  const Cluster host = cluster("host");
  ASSERT_EQ(host.devices(), 2);
  const auto route = host.route(DeviceId{0}, DeviceId{1});
  ASSERT_EQ(route.size(), 1U);
  const Link& link = host.links()[index(route[0])];
  EXPECT_EQ(link.bandwidth, 5_GBps);
  EXPECT_EQ(link.latency, std::chrono::nanoseconds(500));
  EXPECT_NE(route, host.route(DeviceId{1}, DeviceId{0}));
}

// Up to the switch and down again: what is reached of NVLink's rate at the narrowest, its 2 us in all.
TEST(ShippedClusters, JoinEightGpusOfANodeThroughASwitch) {
  for (const auto& [name, rate] : {std::pair{"dgx-a100", 300_GBps}, {"dgx-h100", 450_GBps}}) {
    const Cluster node = cluster(name);
    ASSERT_EQ(node.devices(), 8);
    const auto route = node.route(DeviceId{0}, DeviceId{7});
    ASSERT_GE(route.size(), 2U);
    Bandwidth narrowest = node.links()[index(route[0])].bandwidth;
    Duration latency{};
    for (const LinkId id : route) {
      narrowest = std::min(narrowest, node.links()[index(id)].bandwidth);
      latency += node.links()[index(id)].latency;
    }
    EXPECT_EQ(node.node_groups()[0].intra->bandwidth, rate);
    EXPECT_EQ(narrowest, node.node_groups()[0].intra->achieved());
    EXPECT_LT(narrowest, rate);
    EXPECT_EQ(latency, std::chrono::microseconds(2));
  }
}

}  // namespace
}  // namespace foreplan
