// What plan() promises of every task: order and names of what is alike change nothing, whatever is added never
// makes the plan slower, and no recipe that one would try by hand is faster.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "models/model_io.hpp"
#include "planner/search.hpp"
#include "sim/cluster_io.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"
#include "tests/properties/dice.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

const OpGraph kGpt =
    hand_made_gpt({.layers = 4, .h = 64, .a = 8, .vocabulary = 500, .positions = 64});
const OpGraph kChain = mlp({640, 128, 512, 96, 256});
const RooflineModel kCosts;

struct Nodes {
  std::string device = "a100-sxm-80gb";
  int count = 1, devices = 2;
  double intra = 3e11, nic = 2.5e10;
};

using Change = std::function<void(DeviceSpec&)>;

/// The data sheet of a device; `twin` is an A100 by another name. Launches are short, so that small networks do
/// not drown in them.
DeviceSpec device_named(const std::string& name, const Change& change) {
  const std::string file = name == "twin" ? "a100-sxm-80gb" : name;
  DeviceSpec device = read_device(FOREPLAN_SOURCE_DIR "/models/devices/" + file + ".json");
  device.name = name;
  device.launch_overhead = device.launch_overhead / 100;
  if (change) change(device);
  return device;
}

Cluster cluster_of(const std::vector<Nodes>& groups, const Change& change = {}) {
  std::string nodes;
  for (const Nodes& group : groups) {
    nodes += fmt::format(
        R"({}{{"count": {}, "device": "{}", "devices_per_node": {},
            "intra": {{"bandwidth_bytes_per_s": {}, "latency_s": 1e-6}}, "nics_per_node": 1,
            "nic": {{"bandwidth_bytes_per_s": {}, "latency_s": 2e-6}}}})",
        nodes.empty() ? "" : ",", group.count, group.device, group.devices, group.intra, group.nic);
  }
  const TemporaryFile file(
      "cluster.json",
      fmt::format(R"({{"schema": "foreplan.cluster/1", "name": "some", "nodes": [{}],
                       "fabric": {{"oversubscription": 1, "latency_s": 1e-6}}}})",
                  nodes));
  return read_cluster(file.path(),
                      [&](const std::string& name) { return device_named(name, change); });
}

/// A GPT in half precision, planned in the whole space.
Task whole(const Cluster& cluster) {
  return {.model = kGpt,
          .cluster = cluster,
          .costs = kCosts,
          .global_batch = 12,
          .optimizer = Optimizer::adam,
          .lengths = {.source = 64, .target = 64},
          .precision = DType::fp16};
}

/// A chain that the runtime runs, planned among what it runs.
Task runnable(const Cluster& cluster) {
  return {.model = kChain, .cluster = cluster, .costs = kCosts, .global_batch = 12};
}

using Asked = Task (*)(const Cluster&);
constexpr Asked kBoth[] = {whole, runnable};

void expect_same(const Plan& a, const Plan& b, const std::string& what) {
  ASSERT_TRUE(a.best && b.best) << what;
  EXPECT_EQ(a.best->strategy, b.best->strategy)
      << what << ": " << format(a.best->strategy) << " and " << format(b.best->strategy);
  EXPECT_EQ(a.best->step_time, b.best->step_time) << what;
  EXPECT_EQ(a.certificate.gap, 0) << what;
  EXPECT_EQ(b.certificate.gap, 0) << what;
}

/// `more` is no worse than `less`, if that fits at all.
void expect_no_worse(const Plan& more, const Plan& less, const std::string& what) {
  if (!less.best) return;
  ASSERT_TRUE(more.best) << what;
  EXPECT_LE(more.best->step_time, less.best->step_time)
      << what << ": " << format(more.best->strategy) << " for " << format(less.best->strategy);
}

/// Two nodes of two devices around a switch each, told in full: the devices in this order, of which the first
/// two and the last two share a node.
Cluster in_full(const std::vector<int>& order, bool links_reversed, const std::string& prefix) {
  Cluster::Parts parts{.specs = {device_named("a100-sxm-80gb", {})}};
  for (const int device : order) {
    parts.vertices.push_back(
        {.id = prefix + std::to_string(device), .kind = VertexKind::device, .spec = 0});
  }
  for (const char* name : {"left", "right", "top"}) {
    parts.vertices.push_back({.id = prefix + name, .kind = VertexKind::network_switch});
  }
  const Duration latency = duration_from_seconds(1e-6);
  for (int i = 0; i < 4; ++i) {
    const bool left = order[static_cast<std::size_t>(i)] < 2;
    parts.links.push_back({VertexId{i}, VertexId{left ? 4 : 5}, 300_GBps, latency});
  }
  parts.links.push_back({VertexId{4}, VertexId{6}, 25_GBps, latency});
  parts.links.push_back({VertexId{5}, VertexId{6}, 25_GBps, latency});
  if (links_reversed) std::reverse(parts.links.begin(), parts.links.end());
  return {prefix, parts};
}

TEST(PlanProperties, HangNotOnTheOrderOfDevicesThatAreAlike) {
  const Cluster usual = in_full({0, 1, 2, 3}, false, "gpu");
  for (const Asked asked : kBoth) {
    const Plan expected = plan(asked(usual), {});
    for (const std::vector<int>& order :
         {std::vector{1, 0, 2, 3}, {0, 1, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}}) {
      const Cluster permuted = in_full(order, order.front() % 2 == 1, "another-name-");
      const Plan found = plan(asked(permuted), {});
      expect_same(found, expected, fmt::format("{}{}{}{}", order[0], order[1], order[2], order[3]));
      EXPECT_EQ(found.certificate.strategies, expected.certificate.strategies);
      EXPECT_EQ(found.certificate.simulated, expected.certificate.simulated);
    }
  }
}

// One entry of the file for two nodes, or an entry each; alone, and before nodes of another kind.
TEST(PlanProperties, HangNotOnHowNodesAreListed) {
  const Nodes other{.device = "v100-sxm2-16gb"};
  for (const Asked asked : kBoth) {
    for (const bool mixed : {false, true}) {
      std::vector<Nodes> together{{.count = 2}}, apart{{}, {}};
      if (mixed) together.push_back(other), apart.push_back(other);
      const Cluster one = cluster_of(together), two = cluster_of(apart);
      const Plan found = plan(asked(two), {}), expected = plan(asked(one), {});
      expect_same(found, expected, mixed ? "two kinds" : "one kind");
      EXPECT_EQ(found.certificate.strategies, expected.certificate.strategies);
    }
  }
}

// A second kind that differs in nothing but its name; and two kinds whose names are exchanged for others.
TEST(PlanProperties, HangNotOnNames) {
  for (const Asked asked : kBoth) {
    const Cluster one = cluster_of({{}, {}}), two = cluster_of({{}, {.device = "twin"}});
    expect_same(plan(asked(two), {}), plan(asked(one), {}), "twins");
    const std::vector<Nodes> kinds{{}, {.device = "v100-sxm2-16gb"}};
    const Cluster named = cluster_of(kinds);
    const Cluster renamed = cluster_of(kinds, [](DeviceSpec& device) {
      device.name = device.name == "v100-sxm2-16gb" ? "a" : "b";
    });
    const Plan found = plan(asked(renamed), {}), expected = plan(asked(named), {});
    expect_same(found, expected, "two kinds");
    EXPECT_EQ(found.certificate.strategies, expected.certificate.strategies);
    EXPECT_EQ(found.certificate.simulated, expected.certificate.simulated);
  }
}

// Nodes that are slower, narrower, of another kind, without a way to the host: whoever does not need them leaves
// them idle.
TEST(PlanProperties, AreNoWorseWithMoreNodes) {
  const std::vector<std::vector<Nodes>> growing{
      {{.devices = 3}, {.devices = 1}, {.devices = 2}},
      {{}, {.intra = 1e9, .nic = 1e8}},
      {{}, {.device = "v100-sxm2-16gb", .devices = 1, .nic = 1e9}, {.devices = 2}},
      {{.device = "v100-sxm2-16gb", .devices = 3}, {.devices = 2}}};
  for (const Asked asked : kBoth) {
    for (const Bytes memory : {1_MB, 3_MB, 1_GB}) {
      for (const std::vector<Nodes>& groups : growing) {
        Plan before;
        for (std::size_t n = 1; n <= groups.size(); ++n) {
          const Cluster cluster =
              cluster_of({groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(n)},
                         [&](DeviceSpec& device) {
                           device.memory = memory;
                           if (device.name == "v100-sxm2-16gb") device.host_bandwidth = {};
                         });
          Plan now = plan(asked(cluster), {});
          expect_no_worse(now, before, fmt::format("{} with {} groups", format(memory), n));
          before = std::move(now);
        }
        EXPECT_TRUE(before.best || memory < 1_GB);
      }
    }
  }
}

// The same of nodes that are drawn at random.
TEST(PlanProperties, AreNoWorseWithMoreNodesDrawnAtRandom) {
  for (std::uint64_t number = 0; number < 40; ++number) {
    Dice dice(number);
    std::vector<Nodes> groups;
    Plan before;
    const Bytes memory{dice.one_of({std::int64_t{1} << 40, (600 + dice.below(4000)) << 10})};
    for (int n = 0; n < 3; ++n) {
      groups.push_back({.device = dice.one_of({"a100-sxm-80gb", "a100-sxm-80gb", "v100-sxm2-16gb"}),
                        .count = static_cast<int>(1 + dice.below(2)),
                        .devices = static_cast<int>(1 + dice.below(4)),
                        .intra = 1e10 * static_cast<double>(1 + dice.below(40)),
                        .nic = 1e9 * static_cast<double>(1 + dice.below(30))});
      const Cluster cluster =
          cluster_of(groups, [&](DeviceSpec& device) { device.memory = memory; });
      Plan now = plan(whole(cluster), {});
      expect_no_worse(now, before, fmt::format("clusters {}, {} groups", number, n + 1));
      before = std::move(now);
    }
  }
}

TEST(PlanProperties, AreNoWorseWithMoreMemoryOnOneOfTwoKinds) {
  for (const Asked asked : kBoth) {
    for (const char* kind : {"a100-sxm-80gb", "v100-sxm2-16gb"}) {
      Plan before;
      for (const Bytes memory : {600_KB, 1_MB, 2_MB, 4_MB, 1_GB}) {
        const Cluster cluster = cluster_of(
            {{}, {.device = "v100-sxm2-16gb"}},
            [&](DeviceSpec& device) { device.memory = device.name == kind ? memory : 2_MB; });
        Plan now = plan(asked(cluster), {});
        expect_no_worse(now, before, fmt::format("{} with {}", kind, format(memory)));
        before = std::move(now);
      }
      EXPECT_TRUE(before.best);
    }
  }
}

// Offload: of no device, of the first kind's, of all.
TEST(PlanProperties, AreNoWorseWithAnotherOptionOfTwoKinds) {
  for (const Bytes memory : {800_KB, 1_MB, 2_MB, 1_GB}) {
    Plan before;
    std::int64_t strategies = 0;
    for (const int kinds : {0, 1, 2}) {
      const Cluster cluster =
          cluster_of({{}, {.device = "v100-sxm2-16gb"}}, [&](DeviceSpec& device) {
            device.memory = memory;
            const int kind = device.name == "v100-sxm2-16gb" ? 2 : 1;
            device.host_bandwidth = kind <= kinds ? 20_GBps : Bandwidth{};
          });
      Plan now = plan(whole(cluster), {});
      expect_no_worse(now, before, fmt::format("{} with {} kinds", format(memory), kinds));
      EXPECT_GT(now.certificate.strategies, strategies);
      strategies = now.certificate.strategies;
      before = std::move(now);
    }
  }
}

TEST(PlanProperties, AreNoSlowerThanAnyRecipe) {
  // Plain data parallelism, plain pipelines, equal split, Megatron-LM's.
  const std::vector<std::string> anywhere{"dp=4",
                                          "dp=4,micro_batch=1",
                                          "pp=4,micro_batch=1",
                                          "pp=4,micro_batch=1,schedule=gpipe",
                                          "pp=3,micro_batch=3",
                                          "dp=2,pp=2,micro_batch=1",
                                          "tp=4",
                                          "tp=2,dp=2",
                                          "tp=2,pp=2,micro_batch=2",
                                          "dp=1"};
  const std::vector<std::string> folded{"pp=4,micro_batch=1,layers=1+1+1+1",
                                        "dp=4,zero=1",
                                        "dp=4,zero=3",
                                        "dp=2,pp=2,micro_batch=1,zero=1",
                                        "tp=2,pp=2,sp=1,micro_batch=1,recompute=selective",
                                        "pp=2,vpp=2,tp=2,sp=1,micro_batch=1",
                                        "pp=2,dp=2,micro_batch=1,schedule=zb-h1",
                                        "dp=2,cp=2,micro_batch=1,recompute=full"};
  const std::vector<std::string> runs{"pp=4,micro_batch=1,layers=2+2+2+1",
                                      "pp=4,micro_batch=1,schedule=gpipe,layers=2+2+2+1"};
  const Cluster clusters[] = {cluster_of({{.count = 2}}),
                              cluster_of({{}, {.device = "v100-sxm2-16gb"}}),
                              cluster_of({{.device = "v100-sxm2-16gb"}, {}})};
  for (const Cluster& cluster : clusters) {
    for (const Asked asked : kBoth) {
      const Task task = asked(cluster);
      const Plan found = plan(task, {});
      ASSERT_TRUE(found.best);
      std::vector<std::string> recipes = anywhere;
      const std::vector<std::string>& own = asked == whole ? folded : runs;
      recipes.insert(recipes.end(), own.begin(), own.end());
      for (const std::string& recipe : recipes) {
        const Estimate other = estimate(task, parse_strategy(recipe));
        if (!other.feasible) continue;
        EXPECT_GE(other.step_time, found.best->step_time) << recipe;
      }
    }
  }
}

// More layers than partitions are looked at: into five stages as many each, and balanced, are.
TEST(PlanProperties, AreNoSlowerThanAnEqualSplitOfManyLayers) {
  const OpGraph deep = mlp({96, 640, 96, 320, 96, 64, 96, 640, 96, 80, 96, 512});
  const Cluster cluster = cluster_of({{.devices = 5}});
  Task task{.model = deep, .cluster = cluster, .costs = kCosts, .global_batch = 10};
  const Plan found = plan(task, {});
  ASSERT_TRUE(found.best);
  for (const char* recipe : {"pp=5,micro_batch=1", "pp=5,micro_batch=1,layers=5+4+4+4+4",
                             "pp=5,micro_batch=2,layers=5+4+4+4+4,schedule=gpipe"}) {
    EXPECT_GE(estimate(task, parse_strategy(recipe)).step_time, found.best->step_time) << recipe;
  }
}

}  // namespace
}  // namespace foreplan
