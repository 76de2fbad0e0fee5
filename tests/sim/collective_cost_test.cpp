#include "sim/collective_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Algorithm = CollectiveAlgorithm;
using Kind = CollectiveKind;

/// One switch: 1 us and 100 GB/s from each to each.
GroupPlacement flat(int ranks) { return {.grid = {ranks, 1}, .intra = {1us, 100_GBps}}; }

/// Nodes of 4 with 2 NICs: 1 us and 100 GB/s inside, 5 us across, 20 GB/s a NIC.
GroupPlacement two_level(int nodes) {
  return {.grid = {4, nodes},
          .intra = {1us, 100_GBps},
          .inter = {5us, 20_GBps},
          .nics = 2,
          .nic = 20_GBps};
}

template <typename Act>
std::string complaint(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

Duration all_reduce(Algorithm algorithm, Bytes size, const GroupPlacement& placement,
                    const CollectiveTuning& tuning = {}) {
  return collective_time(Kind::all_reduce, algorithm, size, placement, tuning);
}

// 400 MB at 100 GB/s last 4 ms; half a message's worth of S_half = 100 MB lasts 1 ms more.
TEST(PointToPointTime, IsLatencyAndBytesAndHalfSizeOverBandwidth) {
  EXPECT_EQ(point_to_point_time(400_MB, {1us, 100_GBps}), 4ms + 1us);
  EXPECT_EQ(point_to_point_time(400_MB, {1us, 100_GBps, 100_MB}), 5ms + 1us);
  // B S / (S + S_half): at S = S_half it runs at half of the bandwidth.
  EXPECT_EQ(point_to_point_time(100_MB, {0s, 100_GBps, 100_MB}), 100_MB / 50_GBps);
}

// n = 4 and S = 400 MB on one switch. A quarter lasts 1 ms, a half 2 ms, the whole 4 ms.
//   ring, direct: 2 (4-1) rounds of a quarter: 6 (1 us + 1 ms); a half of it 3 ms + 3 us.
//   tree: lg 4 = 2 rounds down and 2 up of the whole: 4 (1 us + 4 ms).
//   recursive doubling: 2 rounds of the whole: 2 (1 us + 4 ms).
//   halving and doubling: 2 us + 2 ms + 1 ms, and the same backwards: 4 us + 6 ms.
TEST(CollectiveTime, MatchesHandComputedCasesOfFourRanks) {
  EXPECT_EQ(all_reduce(Algorithm::ring, 400_MB, flat(4)), 6ms + 6us);
  EXPECT_EQ(all_reduce(Algorithm::direct, 400_MB, flat(4)), 6ms + 6us);
  EXPECT_EQ(collective_time(Kind::all_gather, Algorithm::ring, 400_MB, flat(4)), 3ms + 3us);
  EXPECT_EQ(collective_time(Kind::reduce_scatter, Algorithm::ring, 400_MB, flat(4)), 3ms + 3us);
  EXPECT_EQ(collective_time(Kind::all_to_all, Algorithm::direct, 400_MB, flat(4)), 3ms + 3us);
  EXPECT_EQ(all_reduce(Algorithm::tree, 400_MB, flat(4)), 16ms + 4us);
  EXPECT_EQ(all_reduce(Algorithm::recursive_doubling, 400_MB, flat(4)), 8ms + 2us);
  EXPECT_EQ(all_reduce(Algorithm::halving_doubling, 400_MB, flat(4)), 6ms + 4us);
}

// n = 6 folds to 4 with two messages of 4 ms + 1 us more than n = 4.
TEST(CollectiveTime, AddsTwoMessagesForRanksBeyondAPowerOfTwo) {
  EXPECT_EQ(all_reduce(Algorithm::recursive_doubling, 400_MB, flat(6)), 16ms + 4us);
  EXPECT_EQ(all_reduce(Algorithm::halving_doubling, 400_MB, flat(6)), 14ms + 6us);
}

// Half of 400 MB by each tree, in 4 chunks of 50 MB: 0.5 ms alone, 1 ms where two share.
//   n = 5: 3 leaves, h = 2: 2 (2 + 4 - 1) (1 us + 1 ms).
//   n = 8: a root above 7 ranks with 4 leaves, h = 2: as much, and 2 (1 us + 0.5 ms).
//   n = 2: 2 * 4 (1 us + 0.5 ms).
TEST(CollectiveTime, MatchesHandComputedDoubleTrees) {
  const CollectiveTuning chunks{.chunks = 4};
  EXPECT_EQ(all_reduce(Algorithm::double_tree, 400_MB, flat(5), chunks), 10ms + 10us);
  EXPECT_EQ(all_reduce(Algorithm::double_tree, 400_MB, flat(8), chunks), 11ms + 12us);
  EXPECT_EQ(all_reduce(Algorithm::double_tree, 400_MB, flat(2), chunks), 4ms + 8us);
}

// n = 5, S = 400 MB. Ring in 4 chunks of 1 ms: 5 - 2 + 4 = 7 rounds. Tree: 3 rounds of 4 ms. Direct:
// 4 copies out of one device, 16 ms; into the root one by one, each with its latency. Of a gather
// each is 80 MB, 0.8 ms; by a tree (3 rounds) the root gets 4/5 of 4 ms.
TEST(CollectiveTime, MatchesHandComputedCasesWithARoot) {
  for (const Kind kind : {Kind::broadcast, Kind::reduce}) {
    EXPECT_EQ(collective_time(kind, Algorithm::ring, 400_MB, flat(5), {.chunks = 4}), 7ms + 7us);
    EXPECT_EQ(collective_time(kind, Algorithm::tree, 400_MB, flat(5)), 12ms + 3us);
  }
  EXPECT_EQ(collective_time(Kind::broadcast, Algorithm::direct, 400_MB, flat(5)), 16ms + 1us);
  EXPECT_EQ(collective_time(Kind::reduce, Algorithm::direct, 400_MB, flat(5)), 16ms + 4us);
  EXPECT_EQ(collective_time(Kind::scatter, Algorithm::direct, 400_MB, flat(5)), 3200us + 1us);
  EXPECT_EQ(collective_time(Kind::gather, Algorithm::direct, 400_MB, flat(5)), 3200us + 4us);
  EXPECT_EQ(collective_time(Kind::gather, Algorithm::tree, 400_MB, flat(5)), 3200us + 3us);
}

// 3 nodes of 4 ranks, 2 NICs of 20 GB/s a node, S = 120 MB. A rank's twelfth is 10 MB: 0.1 ms inside;
// across, where two ranks share a NIC, 1 ms at 10 GB/s, alone 0.5 ms.
//   hierarchical: 2 * 3 rounds of 30 MB (0.3 ms) inside, 2 * 2 of 10 MB at 10 GB/s across.
//   ring: 2 * 11 rounds as slow as the hop across; with 2 channels half as many bytes each.
//   direct: twice (3 inside + 4 * 2 across).
//   tree: twice (2 rounds inside of 1.2 ms, 2 across of 6 ms).
TEST(CollectiveTime, MatchesHandComputedCasesOnNodes) {
  EXPECT_EQ(all_reduce(Algorithm::hierarchical, 120_MB, two_level(3)),
            6 * (300us + 1us) + 4 * (1ms + 5us));
  EXPECT_EQ(all_reduce(Algorithm::ring, 120_MB, two_level(3)), 22 * (500us + 5us));
  EXPECT_EQ(all_reduce(Algorithm::ring, 120_MB, two_level(3), {.channels = 2}), 22 * (250us + 5us));
  EXPECT_EQ(all_reduce(Algorithm::direct, 120_MB, two_level(3)),
            2 * (3 * (100us + 1us) + 8 * (1ms + 5us)));
  EXPECT_EQ(all_reduce(Algorithm::tree, 120_MB, two_level(3)),
            2 * (2 * (1200us + 1us) + 2 * (6ms + 5us)));
}

// 2 nodes of 4, S = 80 MB, an eighth 0.1 ms inside and 1 ms across when all cross.
//   halving and doubling: 4/8 across and 2/8 + 1/8 inside, there and back.
//   recursive doubling: two rounds of 0.8 ms inside, one of 8 ms across.
//   hierarchical, across by recursive doubling: 2 * 3 rounds of 20 MB inside, one of 2 ms across.
TEST(CollectiveTime, MatchesHandComputedHalvingsOnNodes) {
  EXPECT_EQ(all_reduce(Algorithm::halving_doubling, 80_MB, two_level(2)),
            2 * (4ms + 5us + 300us + 2us));
  EXPECT_EQ(all_reduce(Algorithm::recursive_doubling, 80_MB, two_level(2)),
            2 * (800us + 1us) + 8ms + 5us);
  EXPECT_EQ(all_reduce(Algorithm::hierarchical, 80_MB, two_level(2),
                       {.across = Algorithm::recursive_doubling}),
            6 * (200us + 1us) + 2ms + 5us);
}

/// Every kind of every algorithm on some grids, as far as it is not refused.
template <typename Visit>
void for_each_cost(const Visit& visit) {
  for (const GroupGrid grid : {GroupGrid{1, 1}, GroupGrid{2, 1}, GroupGrid{5, 1}, GroupGrid{8, 1},
                               GroupGrid{1, 7}, GroupGrid{4, 2}, GroupGrid{4, 3}}) {
    for (int k = 0; k < kCollectiveKinds; ++k) {
      for (int a = 0; a < kCollectiveAlgorithms; ++a) {
        GroupPlacement placement = two_level(1);
        placement.grid = grid;
        const auto kind = static_cast<Kind>(k);
        const auto algorithm = static_cast<Algorithm>(a);
        if (!collective_refusal(kind, algorithm, grid)) visit(kind, algorithm, placement);
      }
    }
  }
}

TEST(CollectiveTime, IsZeroForOneRankAndPositiveForMore) {
  for_each_cost([](Kind kind, Algorithm algorithm, const GroupPlacement& placement) {
    const bool one = placement.grid.ranks() == 1;
    EXPECT_EQ(collective_time(kind, algorithm, 1_GB, placement) == 0s, one);
    EXPECT_EQ(collective_time(kind, algorithm, 0_B, placement) == 0s, one);
  });
}

// Without bytes only the count of rounds is left, which bandwidth does not touch; without latency
// only bytes are left: twice the bytes, twice the time but for rounding (half a picosecond a message).
TEST(CollectiveTime, IsLatencyAloneForNothingAndBytesAloneWithoutLatency) {
  for_each_cost([](Kind kind, Algorithm algorithm, GroupPlacement placement) {
    GroupPlacement slower = placement;
    for (Bandwidth* b : {&slower.intra.bandwidth, &slower.inter.bandwidth, &slower.nic}) {
      b->bytes_per_s /= 7;
    }
    EXPECT_EQ(collective_time(kind, algorithm, 0_B, placement),
              collective_time(kind, algorithm, 0_B, slower));
    placement.intra.latency = placement.inter.latency = 0s;
    EXPECT_EQ(collective_time(kind, algorithm, 0_B, placement), 0s);
    const Duration once = collective_time(kind, algorithm, 1_GB, placement);
    const Duration twice = collective_time(kind, algorithm, 2_GB, placement);
    EXPECT_LE(std::abs((twice - 2 * once).count()), 60) << name(kind) << ' ' << name(algorithm);
  });
}

TEST(CollectiveTime, NeverFallsWithMoreBytes) {
  for_each_cost([](Kind kind, Algorithm algorithm, const GroupPlacement& placement) {
    Duration before = 0s;
    for (Bytes size = 1_B; size < 1_GB; size = size * 3 + 1_B) {
      const Duration time = collective_time(kind, algorithm, size, placement);
      EXPECT_GE(time, before) << name(kind) << ' ' << name(algorithm);
      before = time;
    }
  });
}

// 2 (n-1)/n S / B tends to 2 * 4 ms from below; a double tree in many chunks and a halving as well.
TEST(CollectiveTime, NearsTwiceTheBufferOverTheBandwidthForManyRanks) {
  GroupPlacement placement = flat(1024);
  placement.intra.latency = 0s;
  for (const Algorithm algorithm :
       {Algorithm::ring, Algorithm::halving_doubling, Algorithm::double_tree}) {
    const Duration time = all_reduce(algorithm, 400_MB, placement, {.chunks = 4096});
    EXPECT_GT(time, 7950us) << name(algorithm);
    EXPECT_LT(time, 8050us) << name(algorithm);
  }
}

// S_half = 100 MB is 1 ms a message: a ring of 4 has 6 of them, a halving 4.
TEST(CollectiveTime, PaysTheHalfSizeWithEveryMessage) {
  GroupPlacement placement = flat(4);
  placement.intra.half_size = 100_MB;
  EXPECT_EQ(all_reduce(Algorithm::ring, 400_MB, placement), 6ms + 6us + 6ms);
  EXPECT_EQ(all_reduce(Algorithm::halving_doubling, 400_MB, placement), 6ms + 4us + 4ms);
}

// Three groups a NIC: a third of it each, 20/6 GB/s where two ranks of each cross: 10 MB last 3 ms.
// An uplink of 40 GB/s that three groups of four flows share is as slow.
TEST(CollectiveTime, SharesNicsAndUplinksBetweenGroups) {
  GroupPlacement placement = two_level(3);
  placement.nic_sharing = 3;
  const Duration expected = 6 * (300us + 1us) + 4 * (3ms + 5us);
  EXPECT_EQ(all_reduce(Algorithm::hierarchical, 120_MB, placement), expected);
  placement.nic = {};
  placement.uplink = 40_GBps;
  placement.uplink_sharing = 3;
  EXPECT_EQ(all_reduce(Algorithm::hierarchical, 120_MB, placement), expected);
  GroupPlacement shared = flat(4);
  shared.link_sharing = 2;
  EXPECT_EQ(all_reduce(Algorithm::ring, 400_MB, shared), 12ms + 6us);
}

TEST(CollectiveTime, RefusesWhatHasNoMeaning) {
  const auto saying = [](Bytes size, const GroupPlacement& placement) {
    return complaint([&] { all_reduce(Algorithm::ring, size, placement); });
  };
  EXPECT_THAT(saying(Bytes{-1}, flat(2)), HasSubstr("expected bytes >= 0, got -1"));
  EXPECT_THAT(saying(1_MB, flat(0)), HasSubstr("expected at least one rank, got 0 on 1 nodes"));
  EXPECT_THAT(saying(1_MB, {.grid = {2, 1}}), HasSubstr("expected a positive bandwidth, got 0"));
  GroupPlacement unshared = flat(2);
  unshared.nic_sharing = 0;
  EXPECT_THAT(saying(1_MB, unshared), HasSubstr("at least one NIC and one group"));
  EXPECT_THAT(saying({std::int64_t{1} << 62}, flat(2)), HasSubstr("out of range"));
  EXPECT_THAT(complaint([] { collective_time(Kind::all_gather, Algorithm::tree, 1_MB, flat(2)); }),
              HasSubstr("collective: tree has no all_gather"));
  EXPECT_THAT(complaint([] {
                point_to_point_time(Bytes{-1}, {1us, 1_GBps});
              }),
              HasSubstr("expected bytes >= 0"));
}

// Of 400 MB to 6 ranks, beta S = 4 ms, alpha = 1 us: k = sqrt(4 * 4000) = 126.5. A double tree of 6:
// 3 leaves, h = 2, sqrt(1.5 * 4000) = 77.5.
TEST(BestChunks, LiesBesideTheMinimumOfTheFormula) {
  const int chain = best_chunks(Kind::broadcast, Algorithm::ring, 400_MB, flat(6));
  EXPECT_TRUE(chain == 126 || chain == 127) << chain;
  const int trees = best_chunks(Kind::all_reduce, Algorithm::double_tree, 400_MB, flat(6));
  EXPECT_TRUE(trees == 77 || trees == 78) << trees;
}

TEST(BestChunks, IsNoWorseThanAnyNumberTried) {
  for (const Bytes size : {4_KB, 100_KB, 3_MB, 50_MB}) {
    for (const int ranks : {2, 3, 6, 9}) {
      for (const auto& [kind, algorithm] : {std::pair{Kind::broadcast, Algorithm::ring},
                                            std::pair{Kind::all_reduce, Algorithm::double_tree}}) {
        const Duration best = collective_time(kind, algorithm, size, flat(ranks), {.chunks = 0});
        for (int chunks = 1; chunks < 200; ++chunks) {
          // Half a picosecond of rounding a message.
          EXPECT_LE(best - collective_time(kind, algorithm, size, flat(ranks), {.chunks = chunks}),
                    Duration{ranks + chunks})
              << name(algorithm) << ' ' << size.count << ' ' << ranks << ' ' << chunks;
        }
      }
    }
  }
}

TEST(BestChunks, IsOneWhereNothingIsCutAndBoundedWithoutLatency) {
  EXPECT_EQ(best_chunks(Kind::all_reduce, Algorithm::ring, 400_MB, flat(6)), 1);
  GroupPlacement free = flat(6);
  free.intra.latency = 0s;
  EXPECT_EQ(best_chunks(Kind::broadcast, Algorithm::ring, 400_MB, free), 4096);
  EXPECT_EQ(best_chunks(Kind::broadcast, Algorithm::ring, 8_B, free), 2);
}

// LL at 1 us and half of the bandwidth against Simple at 5 us: two messages of one byte want the
// first, of 400 MB (2 * 2 ms at full speed) the second.
TEST(CollectiveTime, TakesTheBestProtocol) {
  const std::vector<Protocol> protocols{{.intra_latency = 1us, .bandwidth_share = 0.5},
                                        {.intra_latency = 5us}};
  const auto time = [&](Bytes size) {
    return collective_time(Kind::all_reduce, Algorithm::ring, size, flat(2), {}, protocols);
  };
  EXPECT_EQ(time(0_B), 2us);
  EXPECT_EQ(time(400_MB), 4ms + 10us);
  const std::vector<Protocol> wrong{{.bandwidth_share = 1.5}};
  EXPECT_THAT(complaint([&] {
                collective_time(Kind::all_reduce, Algorithm::ring, 1_MB, flat(2), {}, wrong);
              }),
              HasSubstr("expected a bandwidth share in (0, 1], got 1.5"));
}

// 16 ranks on a switch. Nothing to send: 4 rounds of recursive doubling are the fewest. 400 MB: a ring
// has 30 rounds, halving and doubling 8, for the same bytes.
//
// 12 ranks on 3 nodes with 2 NICs, 1 MB: a ring pays 22 times 5 us, a hierarchy 4 times. 400 MB: through
// each node's 40 GB/s a ring of two channels moves 2 * 11/12 S, 18.3 ms; the hierarchy across
// 2 * 2/3 S in 13.3 ms, and then 6 ms inside, where the ring hides it.
TEST(BestAlgorithm, IsTheOneThatTakesLeast) {
  EXPECT_EQ(best_algorithm(Kind::all_reduce, 8_B, flat(16)).algorithm,
            Algorithm::recursive_doubling);
  const CollectiveChoice large = best_algorithm(Kind::all_reduce, 400_MB, flat(16));
  EXPECT_EQ(large.algorithm, Algorithm::halving_doubling);
  EXPECT_EQ(large.time, all_reduce(Algorithm::halving_doubling, 400_MB, flat(16)));
  const CollectiveChoice nodes = best_algorithm(Kind::all_reduce, 1_MB, two_level(3));
  EXPECT_EQ(nodes.algorithm, Algorithm::hierarchical);
  const CollectiveChoice long_nodes = best_algorithm(Kind::all_reduce, 400_MB, two_level(3));
  EXPECT_EQ(long_nodes.algorithm, Algorithm::ring);
  EXPECT_EQ(long_nodes.tuning.channels, 2);
}

// Two ranks: each gets the other's half, by whatever name. One rank: all cost nothing.
TEST(BestAlgorithm, IsTheFirstOfEquals) {
  EXPECT_EQ(best_algorithm(Kind::all_gather, 400_MB, flat(2)).algorithm, Algorithm::ring);
  EXPECT_EQ(best_algorithm(Kind::all_to_all, 400_MB, flat(8)).algorithm, Algorithm::ring);
  EXPECT_EQ(best_algorithm(Kind::all_reduce, 400_MB, flat(1)).time, 0s);
}

TEST(BestAlgorithm, BeatsEveryAlgorithmByName) {
  for_each_cost([](Kind kind, Algorithm algorithm, const GroupPlacement& placement) {
    for (const Bytes size : {0_B, 10_KB, 1_MB, 100_MB}) {
      EXPECT_LE(best_algorithm(kind, size, placement).time,
                collective_time(kind, algorithm, size, placement));
    }
  });
}

TEST(CollectiveRefusal, TellsTheReason) {
  const auto reason = [](Kind kind, Algorithm algorithm, GroupGrid grid,
                         CollectiveTuning tuning = {}) {
    return collective_refusal(kind, algorithm, grid, tuning).value_or("none");
  };
  EXPECT_EQ(reason(Kind::gather, Algorithm::ring, {4, 1}), "ring has no gather");
  EXPECT_EQ(reason(Kind::all_to_all, Algorithm::tree, {4, 1}), "tree has no all_to_all");
  EXPECT_EQ(reason(Kind::all_gather, Algorithm::recursive_doubling, {6, 1}),
            "recursive_doubling all_gather needs a power of two of ranks, got 6");
  EXPECT_EQ(reason(Kind::all_reduce, Algorithm::halving_doubling, {6, 1}), "none");
  EXPECT_EQ(reason(Kind::all_reduce, Algorithm::halving_doubling, {2, 3}),
            "halving_doubling all_reduce needs a power of two of ranks on several nodes, got 6");
  EXPECT_EQ(reason(Kind::all_reduce, Algorithm::hierarchical, {4, 1}),
            "hierarchical needs several ranks on several nodes, got 4 on 1");
  EXPECT_EQ(reason(Kind::all_reduce, Algorithm::hierarchical, {4, 2},
                   {.across = Algorithm::hierarchical}),
            "hierarchical needs another way across");
  EXPECT_EQ(
      reason(Kind::all_reduce, Algorithm::double_tree, {4, 2}),
      "double_tree all_reduce needs one node or one rank a node, got 4 ranks on each of 2 nodes");
  EXPECT_EQ(reason(Kind::all_reduce, Algorithm::tree, {4, 2}, {.channels = 2}),
            "tree all_reduce has one channel, got 2");
  EXPECT_EQ(reason(Kind::all_reduce, Algorithm::ring, {4, 2}, {.channels = 8}),
            "expected at most a channel for each of a node's 4 ranks, got 8");
  EXPECT_EQ(reason(Kind::all_gather, Algorithm::tree, {1, 1}), "none");  // one rank needs none
}

}  // namespace
}  // namespace foreplan
