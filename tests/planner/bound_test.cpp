#include "planner/bound.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "planner/pipeline_evaluator.hpp"

namespace foreplan {
namespace {

std::vector<std::int64_t> held(const PipelineShape& shape, int stage) {
  std::vector<std::int64_t> chunks;
  held_chunks(shape, stage, chunks);
  return chunks;
}

// Two stages of two chunks, four micro-batches: stage 0 does 2 (2 - 0 - 1) + (2 - 1) 2 = 4 forwards to warm up
// and one more before its first backward: micro-batches 0 and 1 through chunk 0, then chunk 1, then 2 through
// chunk 0.
TEST(HeldChunks, CountsForwardsBeforeTheFirstBackward) {
  EXPECT_THAT(held({Schedule::interleaved, 2, 2, 4}, 0), ::testing::ElementsAre(3, 2));
  EXPECT_THAT(held({Schedule::interleaved, 2, 2, 4}, 1), ::testing::ElementsAre(2, 1));
  EXPECT_THAT(held({Schedule::one_f_one_b, 4, 1, 9}, 1), ::testing::ElementsAre(3));
  EXPECT_THAT(held({Schedule::gpipe, 4, 1, 9}, 1), ::testing::ElementsAre(9));
  EXPECT_THAT(held({Schedule::zb_h1, 4, 1, 9}, 3), ::testing::ElementsAre(4));
}

// No more than the schedule holds at some moment, whatever chunks weigh, and no less in all.
TEST(HeldChunks, IsWhatTheScheduleHolds) {
  for (const Schedule schedule :
       {Schedule::gpipe, Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb_h1}) {
    for (int p = 2; p <= 5; ++p) {
      for (int m = p; m <= 4 * p; m += p) {
        const int v = schedule == Schedule::interleaved ? 1 + p / 2 : 1;
        if (schedule == Schedule::interleaved && v < 2) continue;
        const PipelineShape shape{schedule, p, v, m};
        const PipelineEvaluator evaluator(shape);
        const std::vector<ChunkMemory> chunks(static_cast<std::size_t>(p * v),
                                              {.activations = 1_B, .for_weight = 1_B});
        const std::vector<Bytes> peak = evaluator.peak_memory(chunks);
        for (int s = 0; s < p; ++s) {
          const std::vector<std::int64_t> mine = held(shape, s);
          EXPECT_EQ(std::accumulate(mine.begin(), mine.end(), std::int64_t{0}),
                    peak[static_cast<std::size_t>(s)].count)
              << name(schedule) << " p=" << p << " v=" << v << " m=" << m << " stage " << s;
        }
      }
    }
  }
}

}  // namespace
}  // namespace foreplan
