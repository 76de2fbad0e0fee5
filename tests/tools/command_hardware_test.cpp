// `list` of everything that is shipped, `show` of devices and clusters, clusters scaled by name.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

Json listed(const std::string& what) { return expect_done({"list", what, "--json"}).json()[what]; }

Json named(const Json& rows, const std::string& name) {
  for (const Json& row : rows) {
    if (row["name"] == name) return row;
  }
  ADD_FAILURE() << name << " is not listed";
  return {};
}

TEST(List, TellsEveryModelWithItsParameters) {
  const Json row = named(listed("models"), "mnist-mlp");
  EXPECT_EQ(row["parameters"], 101'770);  // 784 x 128 + 128 + 128 x 10 + 10
  EXPECT_FALSE(row["source"].get<std::string>().empty());
  EXPECT_NE(expect_done({"list", "models"}).out.find("101770"), std::string::npos);
}

TEST(List, TellsEveryDeviceWithItsNumbersAndSources) {
  const Json rows = listed("devices");
  EXPECT_GE(rows.size(), 21U);
  const Json h100 = named(rows, "h100-sxm-80gb");
  EXPECT_EQ(h100["peak_flops_per_s"]["bf16"], 989e12);
  EXPECT_EQ(h100["multiprocessors"], 132);
  EXPECT_EQ(h100["l2_bytes"], 50 * 1024 * 1024);
  EXPECT_EQ(h100["link_bandwidth_bytes_per_s"], 450e9);
  EXPECT_NE(h100["sources"]["peak_flops_per_s"].get<std::string>().find("ml-engineering"),
            std::string::npos);
  EXPECT_FALSE(named(rows, "host").contains("power_w"));
}

TEST(List, TellsEveryClusterWithItsNodes) {
  const Json rows = listed("clusters");
  EXPECT_GE(rows.size(), 13U);
  const Json dgx = named(rows, "dgx-a100");
  EXPECT_EQ(dgx["devices"], 8);
  EXPECT_EQ(dgx["node_groups"][0]["device"], "a100-sxm-80gb");
  EXPECT_EQ(dgx["node_groups"][0]["nics_per_node"], 8);
  EXPECT_EQ(dgx["node_groups"][0]["nic"]["bandwidth_bytes_per_s"], 25e9);
  EXPECT_EQ(dgx["fabric"]["oversubscription"], 1);
  EXPECT_EQ(named(rows, "dgx-1")["links"].size(), 16U + 8 + 4 + 1);
}

TEST(List, TellsStacks) { EXPECT_TRUE(listed("stacks").is_array()); }

TEST(List, RefusesWhatThereIsNot) {
  expect_complaint(run_command({"list", "planets"}), 2,
                   {"expected models, devices, clusters or stacks, got 'planets'"});
  expect_complaint(run_command({"list", "devices", "--json", "--markdown"}), 2, {"--markdown"});
}

// docs/hardware.md says that its tables are these commands' output.
TEST(List, PrintsTheTablesOfTheDocumentation) {
  std::ifstream file(FOREPLAN_SOURCE_DIR "/docs/hardware.md");
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  for (const char* what : {"devices", "clusters"}) {
    const std::string table = expect_done({"list", what, "--markdown"}).out;
    EXPECT_GT(table.size(), 1000U);
    EXPECT_NE(document.find("`foreplan list " + std::string(what) + " --markdown`"),
              std::string::npos);
    EXPECT_NE(document.find(table), std::string::npos)
        << "docs/hardware.md has another table of " << what;
  }
}

TEST(Show, TellsADeviceNumberByNumber) {
  const std::string text = expect_done({"show", "v100-sxm2-32gb"}).out;
  EXPECT_NE(text.find("v100-sxm2-32gb: a device"), std::string::npos) << text;
  EXPECT_NE(text.find("fp32 15.7, fp16 125 TFLOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("6 MiB"), std::string::npos) << text;
  const Json json = expect_done({"show", "l40s", "--json"}).json();
  EXPECT_EQ(json["kind"], "device");
  EXPECT_EQ(json["link_bandwidth_bytes_per_s"], 0);
  EXPECT_EQ(json["memory_bandwidth_bytes_per_s"], 864e9);
}

TEST(Show, TellsAClusterAndItsScaledForm) {
  const std::string text = expect_done({"show", "dgx-a100x64"}).out;
  EXPECT_NE(text.find("dgx-a100x64: a cluster of 64 nodes, 512 x a100-sxm-80gb"), std::string::npos)
      << text;
  const Json json = expect_done({"show", "jean-zayx48", "--json"}).json();
  EXPECT_EQ(json["kind"], "cluster");
  EXPECT_EQ(json["name"], "jean-zayx48");
  EXPECT_EQ(json["devices"], 384);
  EXPECT_EQ(json["node_groups"][0]["count"], 48);
  EXPECT_NE(expect_done({"show", "dgx-1"}).out.find("50 GB/s"), std::string::npos);
}

// `host` is a cluster and a device.
TEST(Show, TakesTheClusterUnlessAskedForTheDevice) {
  EXPECT_EQ(expect_done({"show", "host", "--json"}).json()["kind"], "cluster");
  EXPECT_EQ(expect_done({"show", "host", "--kind", "device", "--json"}).json()["kind"], "device");
  EXPECT_EQ(expect_done({"show", "mnist-mlp", "--json"}).json()["kind"], "model");
  expect_complaint(run_command({"show", "host", "--kind", "planet"}), 2,
                   {"--kind: expected model, cluster or device, got 'planet'"});
  expect_complaint(run_command({"show", "mnist-mlp", "--kind", "device"}), 2,
                   {"no device 'mnist-mlp'"});
}

TEST(Show, TellsAFileByItsSchema) {
  const CommandFolder folder;
  const std::string device = folder.write("d.json", R"({"schema": "foreplan.device/1", "name": "d",
    "memory_bytes": 1, "peak_flops_per_s": {"fp32": 1e12}, "memory_bandwidth_bytes_per_s": 1e9})");
  const std::string cluster = folder.write("c.json", R"({"schema": "foreplan.cluster/1",
    "name": "c", "nodes": [{"count": 1, "device": "l40s", "devices_per_node": 1}]})");
  EXPECT_EQ(expect_done({"show", device, "--json"}).json()["kind"], "device");
  EXPECT_EQ(expect_done({"show", cluster, "--json"}).json()["kind"], "cluster");
  EXPECT_NE(expect_done({"show", device}).out.find("1 TFLOP/s"), std::string::npos);
}

TEST(ScaledCluster, IsRefusedWithAReason) {
  const auto refused = [](const char* name, const std::vector<std::string>& words) {
    expect_complaint(run_command({"show", name, "--kind", "cluster"}), 2, words);
  };
  refused("dgx-a100x0", {"no cluster 'dgx-a100x0'", "from 1 to 1000000 nodes of dgx-a100, got 0"});
  refused("dgx-a100x99999999999", {"from 1 to 1000000 nodes of dgx-a100, got 99999999999"});
  refused("dgx-a100x1000000", {"/nodes/0: expected at most 1000000 devices in all, got 8000000"});
  refused("a100-v100-pairx2", {"/nodes: expected one kind of node", "got 2 kinds"});
  refused("dgx-1x4", {"/vertices: expected \"nodes\"", "got a cluster in full"});
  refused("dgx-a100x", {"no cluster 'dgx-a100x' (did you mean 'dgx-a100'?)"});
  refused("dgx-b100x8", {"no cluster 'dgx-b100x8' (did you mean 'dgx-a100'?)"});
}

TEST(Names, AreSuggestedWhereOneIsClose) {
  expect_complaint(run_command({"show", "mnist-mpl"}), 2, {"(did you mean 'mnist-mlp'?)"});
  const CommandResult far = run_command({"show", "moon"});
  EXPECT_EQ(far.err.find("did you mean"), std::string::npos) << far.err;
}

TEST(ScaledCluster, EstimatesLikeAnyOther) {
  const Json json = expect_done({"estimate", "mlp-4x1024", "--cluster", "dgx-a100x2", "--strategy",
                                 "dp=16", "--global-batch", "128", "--json"})
                        .json();
  EXPECT_EQ(json["strategy"]["dp"], 16);
  EXPECT_TRUE(json["feasible"]);
}

}  // namespace
}  // namespace foreplan
