#include "planner/sharded_walk.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

const std::vector<ShardedUnit> kForward(3, {.compute = 10us, .gather = 4us});
const std::vector<ShardedUnit> kBackward(2, {.compute = 10us, .gather = 4us, .reduce = 8us});

// The first gather is waited for: 4 us; the others are hidden: 4 + 3 x 10 us.
TEST(ShardedWalk, HidesAllGathersButTheFirst) {
  EXPECT_EQ(walk_sharded(kForward, true).computed, 34us);
  EXPECT_EQ(walk_sharded(kForward, false).computed, 42us);  // 3 x (4 + 10) us
}

// Gathers of 25 us bound the lane: 25, then one behind the other, each issued when the unit before begins:
// units begin at 25, 50 and 75 us and end at 85 us.
TEST(ShardedWalk, WaitsForTheWireWhereItIsSlower) {
  const std::vector<ShardedUnit> slow(3, {.compute = 10us, .gather = 25us});
  EXPECT_EQ(walk_sharded(slow, true).computed, 85us);
}

// The second gather, of 4 us, is done at 8 us; the first reduction goes from 14 to 22 us, the second from 24 to
// 32 us.
TEST(ShardedWalk, LetsReductionsOutlastCompute) {
  EXPECT_EQ(walk_sharded(kBackward, true).computed, 24us);
  EXPECT_EQ(walk_sharded(kBackward, true).communicated, 32us);
}

// Compute takes 1.25 times as long beside the wire. Unit 1, from 4 us: beside the gather of 4 us it does 3.2 us,
// the other 6.8 us alone: 14.8 us. Unit 2 the same: 25.6 us; unit 3 alone: 35.6 us.
TEST(ShardedWalk, ComputesSlowerBesideGathers) {
  EXPECT_EQ(walk_sharded(kForward, true, {.compute = 1.25}).computed, 35'600ns);
  EXPECT_EQ(walk_sharded(kForward, false, {.compute = 1.25}).computed, 42us);
}

// Without gathers (zero 2) no unit waits for a reduction: 20 us, the first reduction from 10 to 40, the second
// to 70 us.
TEST(ShardedWalk, DoesNotWaitForReductionsWithoutGathers) {
  const std::vector<ShardedUnit> units(2, {.compute = 10us, .reduce = 30us});
  EXPECT_EQ(walk_sharded(units, true).computed, 20us);
  EXPECT_EQ(walk_sharded(units, true).communicated, 70us);
}

TEST(ShardedWalk, IsNothingWithoutUnits) {
  EXPECT_EQ(walk_sharded({}, true).computed, 0us);
  EXPECT_EQ(walk_sharded({}, true).communicated, 0us);
}

}  // namespace
}  // namespace foreplan
