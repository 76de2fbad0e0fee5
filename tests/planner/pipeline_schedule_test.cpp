#include "planner/pipeline_schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/planner/complaint.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

PipelineAction f(int micro_batch) { return {.forward = true, .micro_batch = micro_batch}; }
PipelineAction b(int micro_batch) { return {.forward = false, .micro_batch = micro_batch}; }

// 3 stages, 4 micro-batches: every stage does the same.
TEST(PipelineSchedule, OfGPipeIsAllForwardThenAllBackward) {
  for (int stage = 0; stage < 3; ++stage) {
    EXPECT_THAT(pipeline_schedule(Schedule::gpipe, 3, stage, 4),
                ElementsAre(f(0), f(1), f(2), f(3), b(0), b(1), b(2), b(3)));
  }
}

// Warm-up of 3 - s - 1 forwards: 2, 1 and 0 (Narayanan et al., figure 4, with 4 micro-batches).
TEST(PipelineSchedule, OfOneForwardOneBackwardMatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule(Schedule::one_f_one_b, 3, s, 4); };
  EXPECT_THAT(stage(0), ElementsAre(f(0), f(1), f(2), b(0), f(3), b(1), b(2), b(3)));
  EXPECT_THAT(stage(1), ElementsAre(f(0), f(1), b(0), f(2), b(1), f(3), b(2), b(3)));
  EXPECT_THAT(stage(2), ElementsAre(f(0), b(0), f(1), b(1), f(2), b(2), f(3), b(3)));
}

TEST(PipelineSchedule, WarmsUpNoFurtherThanThereAreMicroBatches) {
  EXPECT_THAT(pipeline_schedule(Schedule::one_f_one_b, 5, 0, 2),
              ElementsAre(f(0), f(1), b(0), b(1)));
}

/// The most micro-batches whose forward is done and whose backward is not; checks on the way that each
/// goes forward once, then backward once, both in order.
int most_in_flight(const std::vector<PipelineAction>& actions, int micro_batches) {
  int forward = 0, backward = 0, most = 0;
  for (const PipelineAction& action : actions) {
    EXPECT_EQ(action.micro_batch, action.forward ? forward : backward);
    ++(action.forward ? forward : backward);
    EXPECT_LE(backward, forward);
    most = std::max(most, forward - backward);
  }
  EXPECT_EQ(forward, micro_batches);
  EXPECT_EQ(backward, micro_batches);
  return most;
}

TEST(PipelineSchedule, KeepsAsManyInFlightAsTheScheduleSays) {
  for (int p = 1; p <= 6; ++p) {
    for (int s = 0; s < p; ++s) {
      for (int m = 1; m <= 9; ++m) {
        EXPECT_EQ(most_in_flight(pipeline_schedule(Schedule::gpipe, p, s, m), m), m);
        EXPECT_EQ(most_in_flight(pipeline_schedule(Schedule::one_f_one_b, p, s, m), m),
                  std::min(m, p - s));
      }
    }
  }
}

TEST(PipelineSchedule, RefusesStagesAndMicroBatchesThatDoNotExist) {
  const auto complain = [](int stages, int stage, int micro_batches) {
    return complaint([&] { pipeline_schedule(Schedule::gpipe, stages, stage, micro_batches); });
  };
  EXPECT_EQ(complain(3, 3, 4),
            "pipeline: expected a stage of 3 and at least one micro-batch, got stage 3 and 4 "
            "micro-batches");
  EXPECT_NE(complain(3, -1, 4), "no complaint");
  EXPECT_NE(complain(3, 0, 0), "no complaint");
}

}  // namespace
}  // namespace foreplan
