#include "planner/branch_schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foreplan {
namespace {

using ::testing::ElementsAre;

std::vector<Duration> ticks(std::initializer_list<std::int64_t> counts) {
  std::vector<Duration> durations;
  for (const std::int64_t count : counts) durations.emplace_back(count);
  return durations;
}

/// Layers a and b read what enters, the last one reads both.
Stretch two_branches() { return {.first = 7, .inputs = {{-1}, {-1}, {0, 1}}, .width = 2}; }

/// a and b: 10 forward, 20 backward; the last one 1 and 2. Copies: 1 of what enters, 2 of a's and b's output.
StretchCost two_branches_cost() {
  return {.forward = ticks({10, 10, 1}),
          .backward = ticks({20, 20, 2}),
          .copy = ticks({2, 2, 9}),
          .enters = Duration(1)};
}

TEST(BranchSchedule, IsTheSumOfAllOnOneDevice) {
  const Stretch stretch = two_branches();
  const StretchCost cost = two_branches_cost();
  BranchSchedule schedule(stretch, cost, 2);
  EXPECT_EQ(schedule.time({0, 0, 0}), Duration(10 + 10 + 1 + 20 + 20 + 2));
  EXPECT_EQ(schedule.forward({0, 0, 0}).events.size(), 3U);
}

// b on the second device. Forward: a 0 to 10; what enters arrives at 1, b 1 to 11, its output at 13; the last
// 13 to 14. Backward: the last 0 to 2; the gradient of b's output arrives at 4, b 4 to 24; a 2 to 22; b's gradient
// of what entered is back at 25.
TEST(BranchSchedule, CopiesWhatAnotherDeviceReads) {
  const Stretch stretch = two_branches();
  const StretchCost cost = two_branches_cost();
  BranchSchedule schedule(stretch, cost, 2);
  EXPECT_EQ(schedule.time({0, 1, 0}), Duration(14 + 25));
  const StretchWay there = schedule.forward({0, 1, 0}), back = schedule.backward({0, 1, 0});
  EXPECT_EQ(there.finish, Duration(14));
  EXPECT_EQ(back.finish, Duration(25));
  EXPECT_EQ(there.events.size(), 5U);
  EXPECT_EQ(back.events.size(), 5U);
  // a, then what enters to b, b, b's output, the last one.
  std::vector<std::int32_t> layers;
  for (const BranchEvent& event : there.events) layers.push_back(event.layer);
  EXPECT_THAT(layers, ElementsAre(0, -1, 1, 1, 2));
  EXPECT_THAT(there.events[4].after, ElementsAre(0, 3));
  // Without copies 10 + 1 and 2 + 20.
  EXPECT_EQ(schedule.time_without_copies({0, 1, 0}), Duration(11 + 22));
  EXPECT_EQ(schedule.time({0, 1, 0}), Duration(14 + 25));
}

// Three branches on three devices, 4 to copy what enters, 3 each output. The first device sends one at a time: at
// 4 and at 8. They are done at 14 and 18, their outputs arrive at 17 and, one at a time, at 21; the last 21 to 22.
TEST(BranchSchedule, SendsAndReceivesOneCopyAtATime) {
  const Stretch stretch{.first = 0, .inputs = {{-1}, {-1}, {-1}, {0, 1, 2}}, .width = 3};
  const StretchCost cost{.forward = ticks({10, 10, 10, 1}),
                         .backward = ticks({0, 0, 0, 0}),
                         .copy = ticks({3, 3, 3, 3}),
                         .enters = Duration(4)};
  BranchSchedule schedule(stretch, cost, 3);
  EXPECT_EQ(schedule.forward({0, 1, 2, 0}).finish, Duration(22));
}

// Two layers of the second device read what enters: one copy there, one sum of gradients back.
TEST(BranchSchedule, CopiesATensorToADeviceOnce) {
  const Stretch stretch = two_branches();
  const StretchCost cost = two_branches_cost();
  BranchSchedule schedule(stretch, cost, 2);
  // Enters at 1, a 1 to 11 and b 11 to 21 on one device, outputs at 13 and 23, the last 23 to 24.
  EXPECT_EQ(schedule.forward({1, 1, 0}).finish, Duration(24));
  // 2, gradients there at 4 and 6; b 4 to 24, a 24 to 44, the sum back at 45.
  EXPECT_EQ(schedule.backward({1, 1, 0}).finish, Duration(45));
  EXPECT_EQ(schedule.backward({1, 1, 0}).events.size(), 6U);
}

// b ends first on the second device, at 11, where the first would be done with it at 20.
TEST(BranchSchedule, PlacesALayerWhereItEndsFirst) {
  const Stretch stretch = two_branches();
  StretchCost cost = two_branches_cost();
  EXPECT_THAT(BranchSchedule(stretch, cost, 2).earliest_finish(), ElementsAre(0, 1, 0));
  cost.enters = Duration(10);  // as early on the first
  EXPECT_THAT(BranchSchedule(stretch, cost, 2).earliest_finish(), ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace foreplan
