#include "planner/rank_orders.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sim/cluster_io.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/fake_cost_model.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const DeviceSpec kDevice{
    .name = "d", .memory = 80_GB, .peak = {{DType::bf16, {100e12}}}, .memory_bandwidth = 1000_GBps};

/// Nodes behind one slow NIC each.
Cluster nodes_of(int devices, int count, const DeviceSpec& device = kDevice) {
  NodeGroup node{.nodes = count, .devices_per_node = devices, .nic = LinkFacts{1_GBps, 5us}};
  if (devices > 1) node.intra = LinkFacts{100_GBps, 1us};
  return make_cluster("c", device, node, {.latency = 1us});
}

/// The same devices and links, not told in short.
Cluster in_full(const Cluster& cluster) {
  std::vector<Cluster::LinkSpec> links;
  for (std::size_t i = 0; i < cluster.links().size(); i += 2) {
    const Link& link = cluster.links()[i];
    links.push_back({link.from, link.to, link.bandwidth, link.latency});
  }
  return {"in full", cluster.specs(), cluster.vertices(), links};
}

struct Setting {
  OpGraph model = hand_made_gpt({.layers = 4, .h = 64, .a = 8, .vocabulary = 500, .positions = 64});
  Cluster cluster;
  RooflineModel costs{};

  Task task() const {
    return {.model = model,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 16,
            .optimizer = Optimizer::adam,
            .lengths = {.source = 64, .target = 64},
            .precision = DType::bf16};
  }
};

std::vector<std::string> told_apart(const Task& task, const Strategy& sizes) {
  std::vector<std::string> texts;
  for (const OrderSet& orders : RankOrders(task).of(sizes).sets) {
    for (const RankOrder& order : orders) texts.push_back(format(order));
  }
  return texts;
}

TEST(RankOrders, AreOneWhereAllLinksAreAlike) {
  const Strategy sizes{.dp = 2, .tp = 2, .pp = 2};
  for (const Cluster& cluster : {nodes_of(8, 1), nodes_of(8, 4), nodes_of(1, 8),
                                 in_full(nodes_of(8, 1)), fake_cluster(8, kDevice)}) {
    const Setting setting{.cluster = cluster};
    EXPECT_THAT(told_apart(setting.task(), sizes), ElementsAre("tp-cp-dp-pp"));
  }
}

TEST(RankOrders, AreOneOfOneDimension) {
  const Setting setting{.cluster = nodes_of(2, 4)};
  EXPECT_THAT(told_apart(setting.task(), {.dp = 8}), ElementsAre("tp-cp-dp-pp"));
  EXPECT_THAT(told_apart(setting.task(), {}), ElementsAre("tp-cp-dp-pp"));
}

// Nodes of two hold one of the three pairs; what of the others lies farther out makes no difference.
TEST(RankOrders, TellApartWhatLiesInsideANode) {
  const Setting setting{.cluster = nodes_of(2, 4)};
  EXPECT_THAT(told_apart(setting.task(), {.dp = 2, .tp = 2, .pp = 2}),
              ElementsAre("tp-cp-dp-pp", "dp-tp-pp-cp", "pp-tp-dp-cp"));
  const Setting full{.cluster = in_full(setting.cluster)};
  EXPECT_EQ(told_apart(full.task(), {.dp = 2, .tp = 2, .pp = 2}).size(), 3U);
}

// On devices of two kinds also those of which others make up a replica.
TEST(RankOrders, TellApartReplicasOfOtherDevices) {
  Setting setting{.cluster = nodes_of(8, 1)};
  Task task = setting.task();
  task.slow = {{DeviceId{0}, 2.0}, {DeviceId{1}, 2.0}};
  // dp = 2, pp = 4: the slow ones are the first stage of both replicas, or two stages of the first.
  EXPECT_EQ(told_apart(task, {.dp = 2, .pp = 4}).size(), 2U);
}

// What is left out is forecast as something that is not.
TEST(RankOrders, LeaveOutNothingThatIsForecastOtherwise) {
  const Setting small{.cluster = nodes_of(2, 8)}, uneven{.cluster = nodes_of(3, 6)},
      full{.cluster = in_full(nodes_of(4, 4))};
  for (const Setting* setting : {&small, &uneven, &full}) {
    const Task task = setting->task();
    for (Strategy s : {Strategy{.dp = 2, .tp = 2, .pp = 2, .cp = 2}, Strategy{.dp = 4, .pp = 4},
                       Strategy{.dp = 2, .tp = 4, .pp = 2}, Strategy{.dp = 2, .pp = 4, .cp = 2}}) {
      s.micro_batch = 1;
      std::set<Duration> kept, all;
      for (const OrderSet& orders : RankOrders(task).of(s).sets) {
        for (const RankOrder& order : orders) {
          s.order = order;
          kept.insert(estimate(task, s).step_time);
        }
      }
      s.order = {};
      do {
        all.insert(estimate(task, s).step_time);
      } while (std::next_permutation(s.order.dimensions.begin(), s.order.dimensions.end()));
      EXPECT_EQ(all, kept) << format(s);
      EXPECT_GT(kept.size(), 1U) << format(s);
    }
  }
}

TEST(RankOrders, StandForLaterOnesThatMeetTheSame) {
  const Setting setting{.cluster = nodes_of(4, 8)};
  const RankOrders orders(setting.task());
  const Strategy sizes{.dp = 4, .tp = 2, .cp = 4};
  // Behind tp a node has two ranks of cp, or two of dp: gradients go over both, two ranks of a node each.
  EXPECT_TRUE(orders.stand_for(sizes, {RankOrder{}}, parse_rank_order("tp-dp-cp-pp")));
  EXPECT_FALSE(orders.stand_for(sizes, {parse_rank_order("tp-dp-cp-pp")}, RankOrder{}));
  // Without tp in the node it has four of both.
  EXPECT_FALSE(orders.stand_for(sizes, {RankOrder{}}, parse_rank_order("cp-tp-dp-pp")));
}

}  // namespace
}  // namespace foreplan
