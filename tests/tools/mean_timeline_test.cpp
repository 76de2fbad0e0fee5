#include "tools/mean_timeline.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

TEST(MeanTimeline, IsEmptyBeforeTheFirstStep) {
  const MeanTimeline mean;
  EXPECT_TRUE(mean.timeline().start.empty());
  EXPECT_TRUE(mean.timeline().finish.empty());
  EXPECT_EQ(mean.step_time(), Sample());
}

// Two tasks, three steps: starts 0, 0, 0 and 10, 12, 17 us, ends 8, 9, 10 and 20, 25, 30 us.
TEST(MeanTimeline, HasTheMeanStartAndFinishOfEachTask) {
  MeanTimeline mean;
  mean.add({.timeline = {.start = {0us, 10us}, .finish = {8us, 20us}}, .disturbed = {}});
  mean.add({.timeline = {.start = {0us, 12us}, .finish = {9us, 25us}}, .disturbed = {}});
  mean.add({.timeline = {.start = {0us, 17us}, .finish = {10us, 30us}}, .disturbed = {}});
  const Timeline timeline = mean.timeline();
  EXPECT_EQ(timeline.start, (std::vector<Duration>{0us, 13us}));
  EXPECT_EQ(timeline.finish, (std::vector<Duration>{9us, 25us}));
}

// Makespans of 20 and 26 us, and 60 us in a step in which something disturbed a device: mean and median
// of the quiet ones 23 us, 3 us from each.
TEST(MeanTimeline, SummarisesMakespansAndSetsDisturbedStepsAside) {
  MeanTimeline mean;
  mean.add({.timeline = {.start = {0us, 0us}, .finish = {20us, 8us}}, .disturbed = {false, false}});
  mean.add({.timeline = {.start = {0us, 5us}, .finish = {9us, 26us}}, .disturbed = {false, false}});
  mean.add({.timeline = {.start = {0us, 5us}, .finish = {9us, 60us}}, .disturbed = {false, true}});
  const Sample sample = mean.step_time();
  EXPECT_EQ(sample.mean, 23us);
  EXPECT_EQ(sample.median, 23us);
  EXPECT_EQ(sample.mad, 3us);
  EXPECT_EQ(sample.samples, 3);
  EXPECT_EQ(sample.disturbed, 1);
}

}  // namespace
}  // namespace foreplan
