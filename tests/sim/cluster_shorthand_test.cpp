#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/error.hpp"
#include "tests/sim/cluster_files.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

// Latencies: a block's switch is 1 us away (half of 2 us) and the node's switch no further, so that
// any two devices of a node are 2 us apart. Between nodes 1 + 5 + 1/2 up and the same down: 13 us.
TEST(ReadShorthand, JoinsDevicesBlocksNodesAndFabric) {
  const Cluster cluster = read(shorthand_json());
  ASSERT_EQ(cluster.devices(), 8);
  EXPECT_EQ(latency(cluster, 0, 1), 2us);
  EXPECT_EQ(latency(cluster, 0, 3), 2us);
  EXPECT_EQ(bandwidth(cluster, 0, 1), 300e9);
  EXPECT_EQ(bandwidth(cluster, 0, 3), 300e9);
  EXPECT_EQ(latency(cluster, 0, 4), 13us);
  EXPECT_EQ(latency(cluster, 7, 0), 13us);
  EXPECT_EQ(bandwidth(cluster, 0, 4), 25e9);
}

TEST(ReadShorthand, DealsDevicesToNicsInBlocks) {
  json one_fabric = shorthand_json();
  one_fabric.erase("fabric");
  const Cluster cluster = read(one_fabric);
  EXPECT_EQ(latency(cluster, 0, 4), 12us);
  // 0 and 1 leave by the same NIC, 2 and 3 by the other.
  EXPECT_THAT(shared(cluster, {0, 4}, {1, 6}), SizeIs(1));
  EXPECT_THAT(shared(cluster, {0, 4}, {2, 6}), SizeIs(0));
  EXPECT_THAT(shared(cluster, {0, 4}, {3, 5}), SizeIs(1));  // 4 and 5 receive by the same
}

// Oversubscription 2: both NICs of a node together, 2 * 25 GB/s, get 25 GB/s to the fabric.
TEST(ReadShorthand, DividesTheFabricByItsOversubscription) {
  const Cluster cluster = read(shorthand_json());
  const auto both = shared(cluster, {0, 4}, {2, 6});
  ASSERT_THAT(both, SizeIs(2));  // up and down
  for (const LinkId link : both) {
    EXPECT_EQ(cluster.links()[index(link)].bandwidth.bytes_per_s, 25e9);
  }
}

TEST(ReadShorthand, NeedsNoFabricForOneNode) {
  const Cluster cluster = read(json::parse(R"({"schema": "foreplan.cluster/1", "name": "one",
    "nodes": [{"count": 1, "device": "gpu", "devices_per_node": 2,
               "intra": {"bandwidth_bytes_per_s": 1e9, "latency_s": 1e-6}}]})"));
  EXPECT_EQ(cluster.devices(), 2);
  EXPECT_THAT(cluster.vertices(), SizeIs(3));
  EXPECT_EQ(latency(cluster, 0, 1), 1us);
}

TEST(ReadShorthand, JoinsNodesOfOneDeviceByTheirNicsAlone) {
  const Cluster cluster = read(json::parse(R"({"schema": "foreplan.cluster/1", "name": "mixed",
    "nodes": [{"count": 1, "device": "gpu", "devices_per_node": 1,
               "nic": {"bandwidth_bytes_per_s": 1e9, "latency_s": 1e-6}},
              {"count": 2, "device": "gpu", "devices_per_node": 1,
               "nic": {"bandwidth_bytes_per_s": 3e9, "latency_s": 2e-6}}]})"));
  EXPECT_EQ(cluster.devices(), 3);
  EXPECT_EQ(latency(cluster, 0, 1), 3us);
  EXPECT_EQ(latency(cluster, 1, 2), 4us);
  EXPECT_EQ(bandwidth(cluster, 0, 2), 1e9);
  EXPECT_EQ(bandwidth(cluster, 1, 2), 3e9);
}

/// `document` with so many nodes.
Cluster scaled(const json& document, int nodes) {
  const TemporaryFile file("c.json", document.dump());
  return read_cluster(file.path(), looked_up, nodes);
}

TEST(ReadShorthand, TakesAnotherNumberOfNodes) {
  for (const int nodes : {1, 2, 5}) {
    const Cluster cluster = scaled(shorthand_json(), nodes);
    EXPECT_EQ(cluster.name(), "pairx" + std::to_string(nodes));
    EXPECT_EQ(cluster.devices(), 4 * nodes);
    EXPECT_EQ(cluster.nodes(), nodes);
    EXPECT_EQ(cluster.node_of(DeviceId{4 * nodes - 1}), nodes - 1);
  }
}

TEST(ReadShorthand, CannotScaleWhatIsNotOneKindOfNode) {
  const auto complaint_of = [](const json& document) {
    const TemporaryFile file("c.json", document.dump());
    return file.complaint([&] { read_cluster(file.path(), looked_up, 4); });
  };
  json mixed = shorthand_json();
  mixed["nodes"].push_back(mixed["nodes"][0]);
  EXPECT_EQ(complaint_of(mixed),
            "c.json: /nodes: expected one kind of node, so that there can be 4 of it, got 2 kinds");
  EXPECT_EQ(
      complaint_of(explicit_json()),
      "c.json: /vertices: expected \"nodes\", of which there can be 4, got a cluster in full");
  json lonely = shorthand_json();
  lonely["nodes"][0]["count"] = 1;
  lonely["nodes"][0].erase("nic");
  EXPECT_EQ(complaint_of(lonely),
            "c.json: /nodes/0: expected the key \"nic\" where there are several nodes, got none");
}

TEST(ReadShorthand, KeepsWhatClosedFormsNeed) {
  const Cluster cluster = read(shorthand_json());
  ASSERT_THAT(cluster.node_groups(), SizeIs(1));
  const NodeGroup& group = cluster.node_groups()[0];
  EXPECT_EQ(group.nodes, 2);
  EXPECT_EQ(group.devices_per_node, 4);
  EXPECT_EQ(cluster.specs()[static_cast<std::size_t>(group.spec)].name, "gpu");
  EXPECT_EQ(group.intra->bandwidth, 300_GBps);
  EXPECT_EQ(group.intra->latency, 2us);
  EXPECT_EQ(group.nics_per_node, 2);
  EXPECT_EQ(group.nic->bandwidth, 25_GBps);
  EXPECT_EQ(group.nic->latency, 5us);
  EXPECT_EQ(cluster.fabric().oversubscription, 2);
  EXPECT_EQ(cluster.fabric().latency, 1us);
  EXPECT_THAT(read(explicit_json()).node_groups(), SizeIs(0));
}

json reached_json() {
  json document = shorthand_json();
  json& node = document["nodes"][0];
  node["intra"]["efficiency"] = 0.75;
  node["intra"]["setup_s"] = 14e-6;
  node["intra"]["switch_reduction_efficiency"] = 0.5;
  node["nic"]["efficiency"] = 0.8;
  node["nic"]["setup_s"] = 15e-6;
  return document;
}

// 0.75 of 300 GB/s inside, 0.8 of 25 GB/s across: the links of the network have that much.
TEST(ReadShorthand, GivesLinksTheBandwidthThatIsReached) {
  const Cluster cluster = read(reached_json());
  const NodeGroup& group = cluster.node_groups()[0];
  EXPECT_EQ(group.intra->bandwidth, 300_GBps);
  EXPECT_EQ(group.intra->achieved(), 225_GBps);
  EXPECT_EQ(group.intra->setup, 14us);
  EXPECT_EQ(group.intra->switch_reduction, 0.5);
  EXPECT_EQ(group.nic->setup, 15us);
  const auto narrowest = [&](int to) {
    Bandwidth least{1e18};
    for (const LinkId id : cluster.route(DeviceId{0}, DeviceId{to})) {
      least = std::min(least, cluster.links()[index(id)].bandwidth);
    }
    return least;
  };
  EXPECT_EQ(narrowest(1), 225_GBps);
  EXPECT_EQ(narrowest(4), 20_GBps);
}

TEST(ReadShorthand, RefusesSharesThatAreNone) {
  for (const double share : {0.0, -0.5, 1.5}) {
    EXPECT_THAT(
        complaint(reached_json(), [=](json& c) { c["nodes"][0]["nic"]["efficiency"] = share; }),
        HasSubstr("/nodes/0/nic/efficiency: expected a number above 0, at most 1, got"));
  }
  EXPECT_THAT(complaint(reached_json(),
                        [](json& c) { c["nodes"][0]["nic"]["switch_reduction_efficiency"] = 1; }),
              HasSubstr("/nodes/0/nic"));
}

TEST(ReadShorthand, TellsThePlaceOfWhatIsWrong) {
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c["nodes"][0]["count"] = 0; }),
            "c.json: /nodes/0/count: expected an integer from 1 to 1000000, got 0");
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c["nodes"][0]["nics_per_node"] = 5; }),
            "c.json: /nodes/0/nics_per_node: expected an integer from 1 to 4, got 5");
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c["nodes"][0].erase("nic"); }),
            "c.json: /nodes/0: expected the key \"nic\" where there are several nodes, got none");
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c["nodes"][0]["intra"]["latency_s"] = -1; }),
            "c.json: /nodes/0/intra/latency_s: expected a number >= 0, got -1");
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c["fabric"]["oversubscription"] = 0.5; }),
            "c.json: /fabric/oversubscription: expected a number >= 1, got 0.5");
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c["nodes"][0]["count"] = 1000000; }),
            "c.json: /nodes/0: expected at most 1000000 devices in all, got 4000000");
  EXPECT_EQ(complaint(shorthand_json(), [](json& c) { c.erase("nodes"); }),
            "c.json: expected the key \"nodes\", got none");
}

// The same cluster as the shorthand of JoinsDevicesBlocksNodesAndFabric, whose fabric is not divided: 2 us
// inside a node, 2 + 2 x 5 + 1 us between nodes.
TEST(MakeCluster, IsWhatItsShorthandSays) {
  const NodeGroup node{.nodes = 2,
                       .devices_per_node = 4,
                       .intra = LinkFacts{300_GBps, 2us},
                       .nics_per_node = 2,
                       .nic = LinkFacts{25_GBps, 5us}};
  const Cluster cluster = make_cluster("made", looked_up("gpu"), node, {.latency = 1us});
  EXPECT_EQ(cluster.name(), "made");
  ASSERT_EQ(cluster.devices(), 8);
  EXPECT_EQ(latency(cluster, 0, 3), 2us);
  EXPECT_EQ(latency(cluster, 0, 4), 13us);
  EXPECT_EQ(bandwidth(cluster, 0, 1), 300e9);
  EXPECT_EQ(bandwidth(cluster, 0, 4), 25e9);
  EXPECT_THAT(shared(cluster, {0, 4}, {1, 6}), SizeIs(1));  // 0 and 1 leave by the same NIC
  ASSERT_THAT(cluster.node_groups(), SizeIs(1));
  EXPECT_EQ(cluster.node_groups()[0].spec, 0);
}

TEST(MakeCluster, NeedsNicsBetweenNodes) {
  const NodeGroup node{.nodes = 2, .devices_per_node = 4, .intra = LinkFacts{300_GBps, 2us}};
  EXPECT_THROW(make_cluster("made", looked_up("gpu"), node, {}), Error);
}

// Blocks of two devices a processor; the second node's processors are not the first's.
TEST(ReadCluster, SharesProcessorsInBlocks) {
  json document = shorthand_json();
  document["nodes"][0]["devices_per_processor"] = 2;
  const Cluster cluster = read(document);
  ASSERT_EQ(cluster.processors(), 4);
  EXPECT_TRUE(cluster.shares_processors());
  std::vector<int> processors;
  for (int d = 0; d < 8; ++d) processors.push_back(cluster.processor_of(DeviceId{d}));
  EXPECT_THAT(processors, ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
}

}  // namespace
}  // namespace foreplan
