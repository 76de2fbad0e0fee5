#include "sim/group_placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/collective_cost.hpp"
#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"
#include "tests/sim/node_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// 8 devices a node behind `nics` NICs.
NodeFacts dgx(int nics) {
  return {.devices = 8, .intra = {1us, 200_GBps}, .nics = nics, .inter = {5us, 25_GBps}};
}

struct Expected {
  int ranks_per_node, nodes, nics, nic_sharing, uplink_sharing;
};

void expect(const GroupPlacement& placement, const Expected& e) {
  EXPECT_EQ(placement.grid.ranks_per_node, e.ranks_per_node);
  EXPECT_EQ(placement.grid.nodes, e.nodes);
  EXPECT_EQ(placement.nics, e.nics);
  EXPECT_EQ(placement.nic_sharing, e.nic_sharing);
  EXPECT_EQ(placement.uplink_sharing, e.uplink_sharing);
}

TEST(PlacementOf, KeepsGroupsThatDivideANodeInIt) {
  expect(placement_of(dgx(8), {.size = 8, .stride = 1}), {8, 1, 8, 1, 1});
  expect(placement_of(dgx(1), {.size = 2, .stride = 4}), {2, 1, 1, 4, 4});
}

// tp = 8 fills a node; the 8 dp groups of stride 8 have a rank of their own on each node: with 8 NICs
// one NIC each, with 2 NICs four groups share one.
TEST(PlacementOf, LetsGroupsOfOneRankANodeShareItsNics) {
  expect(placement_of(dgx(8), {.size = 16, .stride = 8}), {1, 16, 1, 1, 8});
  expect(placement_of(dgx(2), {.size = 16, .stride = 8}), {1, 16, 1, 4, 8});
  expect(placement_of(dgx(1), {.size = 16, .stride = 32}), {1, 16, 1, 8, 8});
  expect(placement_of(dgx(3), {.size = 16, .stride = 8}), {1, 16, 1, 3, 8});  // 3 + 3 + 2
}

// tp = 2: two ranks are two apart, four on a node; 2 NICs have two ranks of each of both groups.
TEST(PlacementOf, DealsSeveralRanksANodeToItsNics) {
  expect(placement_of(dgx(2), {.size = 16, .stride = 2}), {4, 4, 2, 2, 2});
  expect(placement_of(dgx(8), {.size = 16, .stride = 2}), {4, 4, 4, 1, 2});
  expect(placement_of(dgx(8), {.size = 16, .stride = 1}), {8, 2, 8, 1, 1});
}

TEST(PlacementOf, CountsRanksThatDoNotFillNodesAsOneEach) {
  expect(placement_of(dgx(8), {.size = 3, .stride = 3}), {1, 3, 1, 1, 8});
  expect(placement_of(dgx(1), {.size = 12, .stride = 1}), {1, 12, 1, 8, 8});
}

// Two groups of 6 on 3 nodes of 4: the formula takes no less than both expanded at once.
// Three of eight devices of a node that nothing leads out of: it is the only one, so all lie in it.
TEST(PlacementOf, KeepsEveryGroupInANodeThatIsAlone) {
  const NodeFacts alone{.devices = 8, .intra = {1us, 200_GBps}};
  expect(placement_of(alone, {.size = 3, .stride = 1}), {3, 1, 1, 1, 1});
  expect(placement_of(alone, {.size = 2, .stride = 3}), {2, 1, 1, 3, 3});
}

TEST(PlacementOf, OverstatesGroupsThatDoNotFillNodes) {
  const Cluster cluster = node_cluster({.nodes = 3, .devices = 4});
  const NodeFacts facts{.devices = 4, .intra = {1us, 100_GBps}, .nics = 1, .inter = {5us, 20_GBps}};
  const GroupPlacement placement = placement_of(facts, {.size = 6, .stride = 1});
  TaskGraphBuilder builder(12);
  for (int first : {0, 6}) {
    CollectiveSpec spec{.algorithm = CollectiveAlgorithm::direct, .bytes = 60_MB};
    for (int rank = 0; rank < 6; ++rank) spec.group.push_back(DeviceId{first + rank});
    expand_collective(builder, spec);
  }
  const TaskGraph graph = std::move(builder).build();
  const Costs costs = cost(graph, cluster, RooflineModel{});
  EXPECT_GE(
      collective_time(CollectiveKind::all_reduce, CollectiveAlgorithm::direct, 60_MB, placement),
      makespan(simulate(graph, costs, cluster).timeline));
}

TEST(PlacementOf, TakesBandwidthsFromTheNodes) {
  NodeFacts nodes = dgx(4);
  nodes.oversubscription = 2;
  const GroupPlacement placement = placement_of(nodes, {.size = 4, .stride = 8});
  EXPECT_EQ(placement.intra, nodes.intra);
  EXPECT_EQ(placement.inter, nodes.inter);
  EXPECT_EQ(placement.nic, 25_GBps);
  EXPECT_EQ(placement.uplink, 50_GBps);  // 4 * 25 / 2
  nodes.intra.bandwidth = 10_GBps;       // slower than a NIC: it is what a flow meets
  EXPECT_EQ(placement_of(nodes, {.size = 4, .stride = 8}).inter.bandwidth, 10_GBps);
}

TEST(PlacementOf, RefusesWhatHasNoMeaning) {
  const auto complaint = [](const NodeFacts& nodes, const GroupShape& shape) {
    try {
      placement_of(nodes, shape);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(complaint(dgx(9), {}),
              HasSubstr("at most a NIC for each device of a node, got 9 and 8"));
  EXPECT_THAT(complaint(dgx(1), {.size = 0, .stride = 1}), HasSubstr("got 0 and 1"));
  NodeFacts thin = dgx(1);
  thin.oversubscription = 0.5;
  EXPECT_THAT(complaint(thin, {}), HasSubstr("an oversubscription of at least 1, got 0.5"));
}

std::vector<DeviceId> devices(const std::vector<int>& numbers) {
  std::vector<DeviceId> result;
  for (const int number : numbers) result.push_back(DeviceId{number});
  return result;
}

// Two nodes of 4 with 2 NICs each: two of a node's ranks share a NIC.
TEST(PlacementOf, FindsNodesAndNicsFromRoutes) {
  const Cluster cluster = node_cluster({.nodes = 2, .devices = 4, .nics = 2});
  const auto group = devices({0, 1, 2, 3, 4, 5, 6, 7});
  const GroupPlacement placement = placement_of(cluster, group);
  EXPECT_EQ(placement.grid.ranks_per_node, 4);
  EXPECT_EQ(placement.grid.nodes, 2);
  EXPECT_EQ(placement.intra, (Hop{1us, 100_GBps}));
  EXPECT_EQ(placement.inter, (Hop{5us, 20_GBps}));
  EXPECT_EQ(placement.nics, 2);
  EXPECT_EQ(placement.nic, 20_GBps);
}

TEST(PlacementOf, SeesOneLevelWhereNeighboursAreEquallyFarOrIrregular) {
  const Cluster cluster = node_cluster({.nodes = 4, .devices = 4, .nics = 1});
  const GroupPlacement column = placement_of(cluster, devices({0, 4, 8, 12}));
  EXPECT_EQ(column.grid.ranks_per_node, 4);
  EXPECT_EQ(column.intra, (Hop{5us, 20_GBps}));
  const GroupPlacement uneven = placement_of(cluster, devices({0, 1, 4}));
  EXPECT_EQ(uneven.grid.nodes, 1);
  EXPECT_EQ(uneven.intra, (Hop{5us, 20_GBps}));
  EXPECT_EQ(placement_of(cluster, devices({0})).grid.ranks(), 1);
  EXPECT_THROW(placement_of(cluster, devices({0, 16})), Error);
}

}  // namespace
}  // namespace foreplan
