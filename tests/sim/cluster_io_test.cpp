#include "sim/cluster_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "sim/error.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

json device_json() {
  return json::parse(R"({"name": "gpu", "memory_bytes": 80000000000,
    "peak_flops_per_s": {"fp32": 19.5e12, "bf16": 312e12},
    "memory_bandwidth_bytes_per_s": 2e12})");
}

/// Two nodes of four devices, two NICs each; the fabric carries half of what the NICs could.
json shorthand_json() {
  return json::parse(R"({"schema": "foreplan.cluster/1", "name": "pair", "nodes": [
    {"count": 2, "device": "gpu", "devices_per_node": 4,
     "intra": {"bandwidth_bytes_per_s": 300e9, "latency_s": 2e-6},
     "nics_per_node": 2, "nic": {"bandwidth_bytes_per_s": 25e9, "latency_s": 5e-6}}],
    "fabric": {"oversubscription": 2, "latency_s": 1e-6}})");
}

/// d0 - s - d1, and one half-duplex way straight from d0 to h.
json explicit_json() {
  return json::parse(R"({"schema": "foreplan.cluster/1", "name": "line", "source": "a test",
    "vertices": [{"id": "d0", "kind": "device", "device": "gpu"},
                 {"id": "s", "kind": "switch"},
                 {"id": "d1", "kind": "device", "device": "gpu"},
                 {"id": "h", "kind": "host"}],
    "links": [
      {"from": "d0", "to": "s", "bandwidth_bytes_per_s": 1e9, "latency_s": 1e-6},
      {"from": "s", "to": "d1", "bandwidth_bytes_per_s": 2e9, "latency_s": 2e-6, "duplex": true},
      {"from": "d0", "to": "h", "bandwidth_bytes_per_s": 4e9, "latency_s": 0, "duplex": false}]})");
}

DeviceSpec looked_up(const std::string& name) {
  if (name != "gpu") reject("there is no device \"" + name + "\"");
  DeviceSpec spec;
  spec.name = name;
  spec.memory = 80_GB;
  return spec;
}

Cluster read(const json& cluster, const DeviceLookup& lookup = looked_up) {
  const TemporaryFile file("c.json", cluster.dump());
  return read_cluster(file.path(), lookup);
}

/// What is said about `cluster` after `change`.
template <typename Change>
std::string complaint(json cluster, Change change, const DeviceLookup& lookup = looked_up) {
  change(cluster);
  const TemporaryFile file("c.json", cluster.dump());
  return file.complaint([&] { read_cluster(file.path(), lookup); });
}

Duration latency(const Cluster& cluster, int from, int to) {
  Duration sum{};
  for (const LinkId link : cluster.route(DeviceId{from}, DeviceId{to})) {
    sum += cluster.links()[index(link)].latency;
  }
  return sum;
}

double bandwidth(const Cluster& cluster, int from, int to) {
  double least = std::numeric_limits<double>::infinity();
  for (const LinkId link : cluster.route(DeviceId{from}, DeviceId{to})) {
    least = std::min(least, cluster.links()[index(link)].bandwidth.bytes_per_s);
  }
  return least;
}

std::set<LinkId> shared(const Cluster& cluster, std::pair<int, int> a, std::pair<int, int> b) {
  std::set<LinkId> result;
  for (const LinkId x : cluster.route(DeviceId{a.first}, DeviceId{a.second})) {
    for (const LinkId y : cluster.route(DeviceId{b.first}, DeviceId{b.second})) {
      if (x == y) result.insert(x);
    }
  }
  return result;
}

TEST(ReadDevice, ReadsEveryKey) {
  json device = device_json();
  device["schema"] = "foreplan.device/1";
  device["launch_overhead_s"] = 4e-6;
  device["concurrent_streams"] = false;
  device["source"] = "data sheet";
  const TemporaryFile file("d.json", device.dump());
  const DeviceSpec spec = read_device(file.path());
  EXPECT_EQ(spec.name, "gpu");
  EXPECT_EQ(spec.memory, 80_GB);
  EXPECT_EQ(spec.peak.at(DType::bf16), 312_TFLOPps);
  EXPECT_THAT(spec.peak, SizeIs(2));
  EXPECT_EQ(spec.memory_bandwidth, 2000_GBps);
  EXPECT_EQ(spec.launch_overhead, 4us);
  EXPECT_FALSE(spec.concurrent_streams);
  EXPECT_EQ(spec.source, "data sheet");
  EXPECT_EQ(spec.multiprocessors, 0);  // not told
  EXPECT_EQ(spec.link_bandwidth, Bandwidth{});
}

TEST(ReadDevice, ReadsWhatMayBeLeftOut) {
  json device = device_json();
  device["schema"] = "foreplan.device/1";
  device["multiprocessors"] = 108;
  device["l2_bytes"] = 41943040;
  device["clock_mhz"] = 1410;
  device["link_bandwidth_bytes_per_s"] = 3e11;
  device["host_bandwidth_bytes_per_s"] = 3.15e10;
  device["power_w"] = 400;
  device["sources"] = {{"power_w", "a test"}};
  const TemporaryFile file("d.json", device.dump());
  const DeviceSpec spec = read_device(file.path());
  EXPECT_EQ(spec.multiprocessors, 108);
  EXPECT_EQ(spec.l2, 40_MiB);
  EXPECT_EQ(spec.clock_mhz, 1410);
  EXPECT_EQ(spec.link_bandwidth, 300_GBps);
  EXPECT_EQ(spec.host_bandwidth.bytes_per_s, 31.5e9);
  EXPECT_EQ(spec.power_w, 400);
  EXPECT_THAT(spec.sources, ElementsAre(testing::Pair("power_w", "a test")));
}

/// What is said about a device file with one key more or another value.
std::string device_complaint(const std::string& key, const json& value) {
  json device = device_json();
  device["schema"] = "foreplan.device/1";
  device[key] = value;
  const TemporaryFile file("d.json", device.dump());
  return file.complaint([&] { read_device(file.path()); });
}

TEST(ReadDevice, RefusesNumbersThatCannotBe) {
  EXPECT_EQ(device_complaint("multiprocessors", 0),
            "d.json: /multiprocessors: expected an integer from 1 to 1000000, got 0");
  EXPECT_EQ(device_complaint("clock_mhz", 0),
            "d.json: /clock_mhz: expected a positive number, got 0");
  EXPECT_EQ(device_complaint("link_bandwidth_bytes_per_s", -1),
            "d.json: /link_bandwidth_bytes_per_s: expected a number >= 0, got -1");
  EXPECT_EQ(device_complaint("power_w", "much"),
            "d.json: /power_w: expected a positive number, got \"much\"");
  EXPECT_THAT(device_complaint("sms", 108), StartsWith("d.json: /sms: expected one of "));
  EXPECT_THAT(device_complaint("sources", {{"sms", "a test"}}),
              StartsWith("d.json: /sources/sms: expected one of memory_bytes, "));
  EXPECT_THAT(device_complaint("sources", {{"power_w", 1}}),
              StartsWith("d.json: /sources/power_w: expected "));
}

TEST(ReadDevice, TellsThePlaceOfWhatIsWrong) {
  json device = device_json();
  device["schema"] = "foreplan.device/1";
  device["peak_flops_per_s"]["fp12"] = 1;
  const TemporaryFile file("d.json", device.dump());
  EXPECT_EQ(file.complaint([&] { read_device(file.path()); }),
            "d.json: /peak_flops_per_s/fp12: expected fp32, tf32, fp16, bf16 or fp8, got another "
            "key");
  device["peak_flops_per_s"] = {{"fp32", -1}};
  const TemporaryFile negative("d.json", device.dump());
  EXPECT_EQ(negative.complaint([&] { read_device(negative.path()); }),
            "d.json: /peak_flops_per_s/fp32: expected a positive number, got -1");
}

TEST(ReadClusterInFull, TakesVerticesAndLinksAsTheyStand) {
  const Cluster cluster = read(explicit_json());
  EXPECT_EQ(cluster.name(), "line");
  EXPECT_EQ(cluster.devices(), 2);
  EXPECT_THAT(cluster.specs(), SizeIs(1));  // one name, looked up once
  EXPECT_EQ(cluster.vertices()[3].kind, VertexKind::host);
  EXPECT_THAT(cluster.links(), SizeIs(6));  // two directions each
  EXPECT_EQ(cluster.capacities(), 5);       // the half-duplex one is shared
  EXPECT_EQ(latency(cluster, 0, 1), 3us);
  EXPECT_EQ(bandwidth(cluster, 0, 1), 1e9);
}

TEST(ReadClusterInFull, TakesDevicesThatStandInTheFile) {
  json cluster = explicit_json();
  cluster["vertices"][2]["device"] = device_json();
  cluster["vertices"][2]["device"]["name"] = "other";
  const Cluster made = read(cluster);
  EXPECT_EQ(made.device(DeviceId{0}).name, "gpu");
  EXPECT_EQ(made.device(DeviceId{1}).name, "other");
}

TEST(ReadClusterInFull, TellsThePlaceOfWhatIsWrong) {
  EXPECT_EQ(complaint(explicit_json(), [](json& c) { c["links"][1]["to"] = "d9"; }),
            "c.json: /links/1/to: expected the id of a vertex, got \"d9\"");
  EXPECT_EQ(complaint(explicit_json(), [](json& c) { c["links"][0]["to"] = "d0"; }),
            "c.json: /links/0/to: expected another vertex than \"from\", got \"d0\"");
  EXPECT_EQ(complaint(explicit_json(), [](json& c) { c["vertices"][1]["id"] = "d0"; }),
            "c.json: /vertices/1/id: expected an id that no other vertex has, got \"d0\"");
  EXPECT_EQ(complaint(explicit_json(), [](json& c) { c["vertices"][1]["kind"] = "router"; }),
            "c.json: /vertices/1/kind: expected device, switch or host, got \"router\"");
  EXPECT_EQ(complaint(explicit_json(), [](json& c) { c["vertices"][0]["device"] = "toaster"; }),
            "c.json: /vertices/0/device: there is no device \"toaster\"");
  EXPECT_EQ(complaint(explicit_json(), [](json& c) { c["links"][2]["bandwidth_bytes_per_s"] = 0; }),
            "c.json: /links/2/bandwidth_bytes_per_s: expected a positive number, got 0");
  EXPECT_THAT(complaint(explicit_json(), [](json& c) { c["nodes"] = json::array(); }),
              StartsWith("c.json: /nodes: expected one of "));
  EXPECT_THAT(complaint(explicit_json(), [](json&) {}, {}), HasSubstr("/vertices/0/device: "));
}

TEST(ReadClusterInFull, RefusesAClusterWithoutDevices) {
  EXPECT_THAT(complaint(explicit_json(),
                        [](json& c) {
                          c["vertices"] = json::array();
                          c["links"] = json::array();
                        }),
              HasSubstr("c.json: cluster 'line' has no device"));
  EXPECT_THAT(complaint(explicit_json(),
                        [](json& c) {
                          c["name"] = "two\nlines";
                          c["vertices"] = json::array();
                          c["links"] = json::array();
                        }),
              HasSubstr("c.json: cluster 'two\\nlines' has no device"));
}

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

TEST(ReadCluster, NumbersNodesByTheirNames) {
  json document = explicit_json();
  EXPECT_EQ(read(document).nodes(), 1);
  EXPECT_EQ(read(document).source(), "a test");
  document["vertices"][0]["node"] = "left";
  document["vertices"][2]["node"] = "right";
  const Cluster cluster = read(document);
  EXPECT_EQ(cluster.nodes(), 2);
  EXPECT_EQ(cluster.node_of(DeviceId{0}), 0);
  EXPECT_EQ(cluster.node_of(DeviceId{1}), 1);
  document["vertices"][1]["node"] = "left";
  EXPECT_THAT(complaint(document, [](json&) {}), StartsWith("c.json: /vertices/1/node: expected"));
}

TEST(ReadCluster, DoesNotGoThroughWhatDoesNotForward) {
  json document = explicit_json();
  document["vertices"][1]["forwards"] = false;
  const Cluster cluster = read(document);
  EXPECT_THROW(cluster.route(DeviceId{0}, DeviceId{1}), Error);
}

TEST(ReadCluster, NamesProcessorsOfVertices) {
  json document = explicit_json();
  EXPECT_EQ(read(document).processors(), 2);
  for (auto& vertex : document["vertices"]) {
    if (vertex["kind"] == "device") vertex["processor"] = "gpu0";
  }
  EXPECT_EQ(read(document).processors(), 1);
}

}  // namespace
}  // namespace foreplan
