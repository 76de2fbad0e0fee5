#include "sim/cluster_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/error.hpp"
#include "tests/sim/cluster_files.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

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

// Devices are of one kind if they are written alike, whatever the order of their keys.
TEST(ReadClusterInFull, TakesDevicesThatAreWrittenAlikeAsOneKind) {
  json cluster = explicit_json();
  cluster["vertices"][0]["device"] = device_json();
  cluster["vertices"][2]["device"] = device_json();
  EXPECT_THAT(read(cluster).specs(), SizeIs(1));
  cluster["vertices"][2]["device"]["memory_bytes"] = 1;
  const Cluster made = read(cluster);
  EXPECT_THAT(made.specs(), SizeIs(2));
  EXPECT_EQ(made.device(DeviceId{1}).memory, 1_B);
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
