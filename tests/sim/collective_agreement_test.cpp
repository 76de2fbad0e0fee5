// Closed forms against the same collectives, expanded and simulated.
#include <gtest/gtest.h>

#include <string>

#include "sim/collective_cost.hpp"
#include "sim/roofline.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"
#include "tests/sim/node_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using Algorithm = CollectiveAlgorithm;
using Kind = CollectiveKind;

/// Groups that run one collective each at the same time.
struct Load {
  Kind kind{};
  Algorithm algorithm{};
  Bytes bytes{};
  int ranks_per_node = 0;
  CollectiveTuning tuning{};
  StreamId stream = kCollectiveStream;
};

Duration simulated(const Load& load, const Cluster& cluster,
                   const std::vector<std::vector<DeviceId>>& groups) {
  TaskGraphBuilder builder(cluster.devices());
  for (const auto& group : groups) {
    expand_collective(builder, {.kind = load.kind,
                                .algorithm = load.algorithm,
                                .group = group,
                                .bytes = load.bytes,
                                .stream = load.stream,
                                .ranks_per_node = load.ranks_per_node,
                                .tuning = load.tuning});
  }
  const TaskGraph graph = std::move(builder).build();
  return makespan(simulate(graph, cost(graph, cluster, RooflineModel{}), cluster).timeline);
}

std::vector<DeviceId> strided(int first, int size, int stride = 1) {
  std::vector<DeviceId> group;
  for (int i = 0; i < size; ++i) group.push_back(DeviceId{first + i * stride});
  return group;
}

/// Every kind of every algorithm that takes the grid and tuning.
template <typename Visit>
void for_each_collective(const GroupGrid& grid, const CollectiveTuning& tuning,
                         const Visit& visit) {
  for (int k = 0; k < kCollectiveKinds; ++k) {
    for (int a = 0; a < kCollectiveAlgorithms; ++a) {
      const auto kind = static_cast<Kind>(k);
      const auto algorithm = static_cast<Algorithm>(a);
      if (!collective_refusal(kind, algorithm, grid, tuning)) visit(kind, algorithm);
    }
  }
}

/// 840 is divided by 2 to 8, so that chunks are even but for chunks of chunks.
constexpr Bytes kSizes[] = {840_B, 840_KB, 840_MB};

/// Rounding of each message's end to whole picoseconds, and of uneven chunks to whole bytes.
void expect_close(Duration formula, Duration found) {
  const double error = seconds(formula) / seconds(found) - 1;
  EXPECT_LT(std::abs(error), 1e-3) << format(formula) << " by formula, " << format(found);
}

TEST(CollectiveAgreement, HoldsOnOneSwitchForEveryAlgorithm) {
  for (const int n : {2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 31}) {
    const Cluster cluster = star(n, 100_GBps, 500ns);
    const GroupPlacement placement{.grid = {n, 1}, .intra = {1us, 100_GBps}};
    for (const CollectiveTuning& tuning : {CollectiveTuning{}, CollectiveTuning{.chunks = 5}}) {
      for_each_collective(placement.grid, tuning, [&](Kind kind, Algorithm algorithm) {
        for (const Bytes size : kSizes) {
          SCOPED_TRACE(std::string(name(algorithm)) + ' ' + std::string(name(kind)) + " n " +
                       std::to_string(n) + " S " + std::to_string(size.count));
          for (const StreamId stream : {kCollectiveStream, kNoStream}) {
            const Load load{kind, algorithm, size, 0, tuning, stream};
            expect_close(collective_time(kind, algorithm, size, placement, tuning),
                         simulated(load, cluster, {strided(0, n)}));
          }
        }
      });
    }
  }
}

// 840 MB / n are whole bytes and, at 100 GB/s, whole picoseconds: nothing is rounded anywhere.
TEST(CollectiveAgreement, IsExactWhereNothingIsRounded) {
  for (int n = 2; n <= 8; ++n) {
    const Cluster cluster = star(n, 100_GBps, 500ns);
    const GroupPlacement placement{.grid = {n, 1}, .intra = {1us, 100_GBps}};
    for_each_collective(placement.grid, {.chunks = 4}, [&](Kind kind, Algorithm algorithm) {
      const Load load{kind, algorithm, 840_MB, 0, {.chunks = 4}};
      EXPECT_EQ(collective_time(kind, algorithm, 840_MB, placement, {.chunks = 4}),
                simulated(load, cluster, {strided(0, n)}))
          << name(algorithm) << ' ' << name(kind) << ' ' << n;
    });
  }
}

void expect_agreement_on_nodes(const NodeClusterSpec& spec, const CollectiveTuning& tuning) {
  const Cluster cluster = node_cluster(spec);
  const auto group = strided(0, cluster.devices());
  const NodeFacts facts{.devices = spec.devices,
                        .intra = {1us, 100_GBps},
                        .nics = spec.nics,
                        .inter = {5us, 20_GBps},
                        .oversubscription = spec.half_uplink ? 2.0 : 1.0};
  const GroupPlacement placement = placement_of(facts, {.size = cluster.devices(), .stride = 1});
  for_each_collective(placement.grid, tuning, [&](Kind kind, Algorithm algorithm) {
    for (const Bytes size : kSizes) {
      SCOPED_TRACE(std::string(name(algorithm)) + ' ' + std::string(name(kind)) + ' ' +
                   std::to_string(spec.nodes) + " nodes of " + std::to_string(spec.devices) +
                   " NICs " + std::to_string(spec.nics) + " S " + std::to_string(size.count));
      const Load load{kind, algorithm, size, spec.devices, tuning};
      expect_close(collective_time(kind, algorithm, size, placement, tuning),
                   simulated(load, cluster, {group}));
    }
  });
}

TEST(CollectiveAgreement, HoldsOnNodesForEveryAlgorithm) {
  for (const NodeClusterSpec& spec :
       {NodeClusterSpec{.nodes = 2, .devices = 4}, NodeClusterSpec{.nodes = 3, .devices = 2},
        NodeClusterSpec{.nodes = 4, .devices = 4, .nics = 2},
        NodeClusterSpec{.nodes = 4, .devices = 2, .nics = 2},
        NodeClusterSpec{.nodes = 5, .devices = 1}}) {
    expect_agreement_on_nodes(spec, {});
    expect_agreement_on_nodes(spec, {.chunks = 5, .across = Algorithm::double_tree});
    expect_agreement_on_nodes(spec, {.across = Algorithm::tree});
    expect_agreement_on_nodes(spec, {.across = Algorithm::halving_doubling});
  }
}

TEST(CollectiveAgreement, HoldsWithAChannelForEachNic) {
  expect_agreement_on_nodes({.nodes = 3, .devices = 4, .nics = 4}, {.channels = 4});
  expect_agreement_on_nodes({.nodes = 2, .devices = 8, .nics = 2}, {.channels = 2});
}

TEST(CollectiveAgreement, HoldsUnderAnOversubscribedFabric) {
  expect_agreement_on_nodes({.nodes = 4, .devices = 4, .nics = 2, .half_uplink = true}, {});
}

/// All groups of a stride at once, against the placement that shares NICs between them.
void expect_agreement_of_groups(const NodeClusterSpec& spec, int stride) {
  const Cluster cluster = node_cluster(spec);
  const NodeFacts facts{.devices = spec.devices,
                        .intra = {1us, 100_GBps},
                        .nics = spec.nics,
                        .inter = {5us, 20_GBps},
                        .oversubscription = spec.half_uplink ? 2.0 : 1.0};
  const int size = cluster.devices() / stride;
  std::vector<std::vector<DeviceId>> groups;
  for (int first = 0; first < stride; ++first) groups.push_back(strided(first, size, stride));
  const GroupPlacement placement = placement_of(facts, {.size = size, .stride = stride});
  for_each_collective(placement.grid, {}, [&](Kind kind, Algorithm algorithm) {
    SCOPED_TRACE(std::string(name(algorithm)) + ' ' + std::string(name(kind)) + " stride " +
                 std::to_string(stride) + " NICs " + std::to_string(spec.nics));
    const Load load{kind, algorithm, 840_MB, placement.grid.ranks_per_node};
    expect_close(collective_time(kind, algorithm, 840_MB, placement),
                 simulated(load, cluster, groups));
  });
}

TEST(CollectiveAgreement, HoldsForGroupsThatShareNics) {
  for (const int nics : {1, 2, 4}) {
    for (const int stride : {2, 4, 8}) {
      expect_agreement_of_groups({.nodes = 4, .devices = 4, .nics = nics}, stride);
    }
  }
}

TEST(CollectiveAgreement, HoldsForGroupsThatShareAnOversubscribedFabric) {
  expect_agreement_of_groups({.nodes = 4, .devices = 4, .nics = 2, .half_uplink = true}, 2);
  expect_agreement_of_groups({.nodes = 4, .devices = 4, .nics = 4, .half_uplink = true}, 4);
}

// A message that saturates late: half_size more bytes flow with each.
TEST(CollectiveAgreement, HoldsForMessagesThatSaturateLate) {
  const Cluster cluster = star(4, 100_GBps, 500ns);
  const GroupPlacement placement{.grid = {4, 1}, .intra = {1us, 100_GBps, 3_MB}};
  for_each_collective(placement.grid, {}, [&](Kind kind, Algorithm algorithm) {
    TaskGraphBuilder builder(4);
    expand_collective(
        builder, {.kind = kind, .algorithm = algorithm, .group = strided(0, 4), .bytes = 840_MB});
    const TaskGraph graph = std::move(builder).build();
    Costs costs = cost(graph, cluster, RooflineModel{});
    for (Bytes& flow : costs.flow) flow += 3_MB;
    EXPECT_EQ(collective_time(kind, algorithm, 840_MB, placement),
              makespan(simulate(graph, costs, cluster).timeline))
        << name(algorithm) << ' ' << name(kind);
  });
}

}  // namespace
}  // namespace foreplan
