#include "sim/library_collectives.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using Kind = CollectiveKind;

constexpr Bytes kSize{400'000'000};

/// g devices of 100 GB/s and 1 us each on N nodes with 2 NICs of 20 GB/s; 10 us of setup.
GroupPlacement group(int per_node, int nodes) {
  return {.grid = {per_node, nodes},
          .intra = {.latency = 1us, .bandwidth = 100_GBps, .setup = 10us},
          .inter = {.latency = 5us, .bandwidth = 20_GBps, .setup = 12us},
          .nics = std::min(per_node, 2),
          .nic = 20_GBps};
}

GroupPlacement switched(int per_node, int nodes, Bandwidth reduction) {
  GroupPlacement placement = group(per_node, nodes);
  placement.switch_reduction = reduction;
  return placement;
}

// n = 4 on one node: 3/4 of 400 MB at 100 GB/s are 3 ms; 3 hops of 1 us; 10 us of setup. An all-reduce goes
// around twice: 6 ms + 6 us + 10 us.
TEST(LibraryTime, IsARingInsideANode) {
  EXPECT_EQ(library_time(Kind::all_gather, kSize, group(4, 1)), 3ms + 13us);
  EXPECT_EQ(library_time(Kind::reduce_scatter, kSize, group(4, 1)), 3ms + 13us);
  EXPECT_EQ(library_time(Kind::all_reduce, kSize, group(4, 1)), 6ms + 16us);
}

// n = 8 on two nodes of 4, two rings through 2 NICs of 20 GB/s: the border carries 40 GB/s. 7/8 of 400 MB:
// 8.75 ms; the first chunk goes 6 hops inside, 1 across: 11 us; setup across 12 us.
TEST(LibraryTime, CarriesARingThroughAllNicsOfANode) {
  EXPECT_EQ(library_time(Kind::all_gather, kSize, group(4, 2)), 8750us + 11us + 12us);
}

// Many nodes, few bytes: 2 (3 us + 6 rounds of 5 us) = 66 us of a tree among 64 nodes instead of
// 2 (192 + 63 x 5) us = 1014 us of a ring. 4 kB at 0.92 x 40 GB/s: 2 x 4 kB / 36.8 GB/s = 217.391 ns.
TEST(LibraryTime, TakesATreeForFewBytesAmongManyNodes) {
  EXPECT_EQ(library_time(Kind::all_reduce, Bytes{4000}, group(4, 64)),
            12us + 66us + Duration(217'391));
}

// The switch of 8: 9/8 of 400 MB at 75 GB/s are 6 ms, 2 hops: 6 ms + 12 us. The ring: 7 ms + 14 us + 10 us.
TEST(LibraryTime, LetsTheSwitchAddUpWhereThatIsFaster) {
  EXPECT_EQ(library_time(Kind::all_reduce, kSize, switched(8, 1, 75_GBps)), 6ms + 12us);
  EXPECT_EQ(library_time(Kind::all_reduce, kSize, switched(8, 1, 50_GBps)), 7ms + 24us);
  // Only sums can be made in it.
  EXPECT_EQ(library_time(Kind::all_gather, kSize, switched(8, 1, 75_GBps)),
            library_time(Kind::all_gather, kSize, group(8, 1)));
}

// Two nodes of 4, the switch at 100 GB/s: 5/4 of 400 MB are 5 ms, less than the tree across, 800 MB at
// 36.8 GB/s = 21.73913 ms. The ring takes 2 x 8.75 ms + 2 x 11 us: less.
TEST(LibraryTime, TakesTheRingWhereTheNetworkIsWhatLimits) {
  EXPECT_EQ(library_time(Kind::all_reduce, kSize, switched(4, 2, 100_GBps)),
            17'500us + 22us + 12us);
}

// n = 8 on two nodes of 4: 3/8 of 400 MB at 100 GB/s inside are 1.5 ms; 4/8 at 10 GB/s, a NIC shared by two
// devices, are 20 ms: the longer, with 5 us and 12 us.
TEST(LibraryTime, ExchangesInsideAndAcrossAtOnce) {
  EXPECT_EQ(library_time(Kind::all_to_all, kSize, group(4, 2)), 20ms + 17us);
  EXPECT_EQ(library_time(Kind::all_to_all, kSize, group(4, 1)), 3ms + 11us);
}

// One rank on each of 8 nodes behind a NIC that four such groups share: 7/8 of 400 MB at 5 GB/s are 70 ms;
// 7 hops of 5 us.
TEST(LibraryTime, SharesNicsWithOtherGroups) {
  GroupPlacement placement = group(1, 8);
  placement.nic_sharing = 4;
  EXPECT_EQ(library_time(Kind::all_gather, kSize, placement), 70ms + 35us + 12us);
}

TEST(LibraryTime, IsNothingForOneRank) {
  EXPECT_EQ(library_time(Kind::all_reduce, kSize, group(1, 1)), 0s);
}

TEST(LibraryTime, TendsToSetupAndHopsForNoBytes) {
  EXPECT_EQ(library_time(Kind::all_gather, Bytes{}, group(8, 1)), 10us + 7us);
}

TEST(LibraryTime, NeverTakesLessForMoreBytesOrRanks) {
  for (const Kind kind : {Kind::all_reduce, Kind::all_gather, Kind::reduce_scatter,
                          Kind::all_to_all, Kind::broadcast, Kind::gather}) {
    Duration last{};
    for (int nodes = 1; nodes <= 64; nodes *= 2) {
      const Duration time = library_time(kind, kSize, switched(8, nodes, 60_GBps));
      EXPECT_GE(time, last);
      EXPECT_GE(library_time(kind, Bytes{2 * kSize.count}, switched(8, nodes, 60_GBps)), time);
      last = time;
    }
  }
}

TEST(LibraryTime, RefusesNegativeSizesAndMissingBandwidth) {
  EXPECT_THROW(library_time(Kind::all_reduce, Bytes{-1}, group(4, 1)), Error);
  GroupPlacement none = group(4, 1);
  none.intra.bandwidth = {};
  EXPECT_THROW(library_time(Kind::all_reduce, kSize, none), Error);
}

// Two nodes of 4, two copies of each row: its experts lie on 2 (1 - 1/4) = 1.5 nodes, u = 0.75. Across
// 0.75 x 4/8 of 400 MB at 10 GB/s are 15 ms; inside 3/4 at 100 GB/s are 3 ms. Hops of 1 and 5 us, setup 12 us.
TEST(LibraryDispatchTime, SendsARowToEachNodeOnce) {
  EXPECT_EQ(library_dispatch_time(kSize, 2, group(4, 2)), 15ms + 18us);
}

// One copy is all that goes anyway; many copies go once to each node: N / k of the bytes.
TEST(LibraryDispatchTime, TendsToThePlainExchangeAndToOneRowANode) {
  EXPECT_EQ(library_dispatch_time(kSize, 1, group(4, 2)),
            library_time(Kind::all_to_all, kSize, group(4, 2)) + 1us);
  const Bytes large{4'000'000'000'000};
  const double all = seconds(library_time(Kind::all_to_all, large, group(1, 4)));
  EXPECT_NEAR(seconds(library_dispatch_time(large, 1000, group(1, 4))) / all, 0.004, 1e-6);
}

TEST(LibraryDispatchTime, IsThePlainExchangeInsideANode) {
  EXPECT_EQ(library_dispatch_time(kSize, 8, group(4, 1)),
            library_time(Kind::all_to_all, kSize, group(4, 1)));
}

TEST(LibraryDispatchTime, RefusesNoCopies) {
  EXPECT_THROW(library_dispatch_time(kSize, 0, group(4, 2)), Error);
}

TEST(HasLibrary, AsksTheHopThatTheGroupNeeds) {
  GroupPlacement placement = group(4, 1);
  EXPECT_TRUE(has_library(placement));
  placement.intra.setup = {};
  EXPECT_FALSE(has_library(placement));
  placement.grid.nodes = 2;
  EXPECT_TRUE(has_library(placement));
}

}  // namespace
}  // namespace foreplan
