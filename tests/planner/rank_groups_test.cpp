#include "planner/rank_groups.hpp"

#include <gtest/gtest.h>

#include <string>

#include "sim/cluster_io.hpp"
#include "sim/library_collectives.hpp"
#include "tests/planner/complaint.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// Nodes of 8 devices of 100 GB/s, of which 0.8 are reached, and 8 NICs of 20 GB/s, of which half are.
Cluster nodes(int count, Duration setup, Bandwidth flow = {}) {
  const NodeGroup node{
      .nodes = count,
      .devices_per_node = 8,
      .intra = LinkFacts{.bandwidth = 100_GBps,
                         .latency = 1us,
                         .efficiency = 0.8,
                         .setup = setup,
                         .switch_reduction = 0.6},
      .nics_per_node = 8,
      .nic = LinkFacts{
          .bandwidth = 20_GBps, .latency = 2us, .efficiency = 0.5, .setup = setup, .flow = flow}};
  return make_cluster("c", {.name = "d", .memory = 1_GB, .memory_bandwidth = 1_GBps}, node,
                      {.latency = 1us});
}

TEST(NodeFacts, TellWhatIsReached) {
  const NodeFacts facts = node_facts(nodes(2, 14us), 16);
  EXPECT_EQ(facts.intra.bandwidth, 80_GBps);
  EXPECT_EQ(facts.intra.setup, 14us);
  EXPECT_EQ(facts.inter.bandwidth, 10_GBps);
  EXPECT_EQ(facts.inter.latency, 6us);  // 1 us inside, 2 x 2 us, 1 us of fabric
  EXPECT_EQ(facts.switch_reduction, 60_GBps);
}

// Two nodes of eight devices, then one of four whose links are slower: a strategy on 16 devices does not see it;
// one on 17 has nodes of gcd(8, 4) devices with its links.
TEST(NodeFacts, AreThoseOfTheNodesThatAreReached) {
  const Cluster fast = nodes(2, {});
  Cluster::Parts parts{
      .specs = fast.specs(), .vertices = fast.vertices(), .node_groups = fast.node_groups()};
  for (int d = 0; d < 4; ++d) {
    parts.vertices.push_back(
        {.id = "slow" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
  }
  NodeGroup slow = fast.node_groups().front();
  slow.nodes = 1;
  slow.devices_per_node = slow.nics_per_node = 4;
  slow.intra->bandwidth = 10_GBps;
  parts.node_groups.push_back(slow);
  const Cluster cluster("both", parts);
  EXPECT_EQ(groups_reached(cluster, 1), 1);
  EXPECT_EQ(groups_reached(cluster, 16), 1);
  EXPECT_EQ(groups_reached(cluster, 17), 2);
  EXPECT_EQ(node_facts(cluster, 16).devices, 8);
  EXPECT_EQ(node_facts(cluster, 16).intra.bandwidth, 80_GBps);
  EXPECT_EQ(node_facts(cluster, 17).devices, 4);
  EXPECT_EQ(node_facts(cluster, 17).intra.bandwidth, 8_GBps);
}

// A message alone reaches 3 GB/s of a NIC's 10: stages of 8 send one a NIC, and a ring of 16 goes by 8.
TEST(RankGroups, LimitWhatAProtocolLimits) {
  Cluster limited = nodes(2, 14us, 3_GBps);
  const RankGroups groups(limited, {.tp = 8, .pp = 2});
  EXPECT_EQ(groups.stage_hop(0, 1, Bytes{3'000'000}), 1020us);
  const RankGroups wide(limited, {.dp = 16});
  EXPECT_EQ(node_facts(limited, 16).nic, 10_GBps);
  // 15/16 of 1.6 GB at 8 x 3 GB/s are 62.5 ms; 14 hops inside, one across: 20 us; setup 14 us.
  EXPECT_EQ(wide.time(CollectiveKind::all_gather, Bytes{1'600'000'000}, wide.data()), 62'534us);
}

TEST(RankGroups, TakeALibrarysCollectivesWhereASetupIsTold) {
  const Cluster told = nodes(2, 14us), open = nodes(2, {});
  const RankGroups library(told, {.dp = 2, .tp = 8}), own(open, {.dp = 2, .tp = 8});
  EXPECT_EQ(library.time(CollectiveKind::all_reduce, 1_GB, Axis::tensor),
            library_time(CollectiveKind::all_reduce, 1_GB, library.of(Axis::tensor)));
  EXPECT_EQ(own.time(CollectiveKind::all_reduce, 1_GB, Axis::tensor),
            best_algorithm(CollectiveKind::all_reduce, 1_GB, own.of(Axis::tensor)).time);
  const RankGroups ring(told, {.dp = 2, .tp = 8}, CollectiveAlgorithm::ring);
  EXPECT_EQ(ring.time(CollectiveKind::all_reduce, 1_GB, Axis::tensor),
            14us + collective_time(CollectiveKind::all_reduce, CollectiveAlgorithm::ring, 1_GB,
                                   ring.of(Axis::tensor)));
}

// Two stages of 8 devices, a node each: every device sends through a NIC of its own, 10 GB/s:
// 14 us + 6 us + 1 ms.
TEST(RankGroups, SendBetweenStagesWithTheSetupOfALibrary) {
  const Cluster cluster = nodes(2, 14us);
  const RankGroups groups(cluster, {.tp = 8, .pp = 2});
  EXPECT_EQ(groups.stage_hop(0, 1, Bytes{10'000'000}), 1020us);
}

// tp = 4, dp = 4 on two nodes: 16 ranks. ep = 8 fills a node with neighbours of both; two ranks, 8 apart,
// hold the same experts. Without ep a rank's part of the experts is held by the 4 ranks of dp.
TEST(RankGroups, DealExpertsOverTheRanksOfTpCpAndDp) {
  const Cluster cluster = nodes(2, {});
  const RankGroups groups(cluster, {.dp = 4, .tp = 4, .ep = 8, .sp = true});
  EXPECT_EQ(groups.of(Axis::expert).grid.ranks_per_node, 8);
  EXPECT_EQ(groups.of(Axis::expert).grid.nodes, 1);
  EXPECT_EQ(groups.expert_data_ranks(), 2);
  EXPECT_EQ(groups.expert_data().grid.nodes, 2);
  EXPECT_EQ(RankGroups(cluster, {.dp = 4, .tp = 4}).expert_data_ranks(), 4);
  // ep = 2 divides dp: tp cuts experts, as the ranks 0 and 4 of a node do, and two pairs hold the same.
  const RankGroups cut(cluster, {.dp = 4, .tp = 4, .ep = 2});
  EXPECT_EQ(cut.of(Axis::expert).grid.ranks_per_node, 2);
  EXPECT_EQ(cut.expert_data_ranks(), 2);
  EXPECT_EQ(cut.expert_data().grid.nodes, 2);
  EXPECT_EQ(complaint([&] { RankGroups(cluster, {.dp = 4, .tp = 4, .ep = 3}); }),
            "strategy: ep=3 does not divide tp cp dp = 16");
}

TEST(RankGroups, SendRowsToANodeOnceWhereTheStackDoes) {
  const Cluster told = nodes(2, 14us), open = nodes(2, {});
  const Strategy strategy{.dp = 16, .ep = 16};
  const RankGroups library(told, strategy), own(open, strategy);
  EXPECT_LT(library.dispatch_time(1_GB, 8, true), library.dispatch_time(1_GB, 8, false));
  EXPECT_EQ(own.dispatch_time(1_GB, 8, true), own.dispatch_time(1_GB, 8, false));
}

}  // namespace
}  // namespace foreplan
