#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/folded_step.hpp"
#include "sim/error.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"
#include "tests/sim/node_cluster.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kKiB = 1024, kMiB = 1024 * kKiB;

// 1024 x 4096 weights and 4096 of bias in fp32: 16 MiB + 16 KiB, of a segment of 18 MiB, of which the rest
// is split off but is too small for the gradients, another 18 MiB. Adam's two numbers: 32 MiB + 32 KiB of
// 34 MiB. The loss keeps 2 samples' probabilities, 32 KiB, small, and at work has the logits, as many: 2 MiB.
// Two micro-batches, one by one.
TEST(FoldedReserved, MatchesAHandComputedCase) {
  const OpGraph model = mlp({1024, 4096});
  const Cluster cluster = node_cluster({.devices = 1});
  const FakeCostModel costs;
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 4,
                  .optimizer = Optimizer::adam};
  const FoldedStep step(task, {.micro_batch = 2});
  const AllocatorStats stats = step.allocator_stats(0);
  EXPECT_EQ(stats.peak_requested, Bytes{4 * (16 * kMiB + 16 * kKiB) + 2 * 32 * kKiB});
  EXPECT_EQ(stats.peak_reserved, Bytes{(18 + 18 + 34 + 2) * kMiB});
  EXPECT_THAT([&] { step.allocator_stats(1); },
              ::testing::ThrowsMessage<Error>("expected a stage from 0 to 0, got 1"));
}

// What a process takes beside tensors is in no peak, but has to fit beside it.
TEST(FoldedReserved, LeavesRoomForTheContext) {
  const OpGraph model = mlp({1024, 4096});
  const FakeCostModel costs;
  const auto forecast = [&](Bytes memory, Bytes context) {
    const Cluster cluster = fake_cluster(1, fake_device(memory));
    Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 4};
    task.stack.context_bytes = context;
    return FoldedStep(task, {}).estimate(costs);
  };
  const Bytes peak = forecast(1_GB, 0_B).peak_memory;
  EXPECT_TRUE(forecast(peak, 0_B).feasible);
  EXPECT_FALSE(forecast(peak, 1_B).feasible);
  EXPECT_TRUE(forecast(peak + 1_B, 1_B).feasible);
  EXPECT_EQ(forecast(1_GB, 100_MB).peak_memory, peak);
}

struct Case {
  const char* strategy;
  bool gathers = false;
};

class FoldedReserved : public ::testing::TestWithParam<Case> {};

// What is asked for at most is the peak that the estimate tells from the schedule alone, in which the unit that
// needs most beside what is kept does so when most is kept.
TEST_P(FoldedReserved, AsksForThePeakOfTheEstimate) {
  const OpGraph gpt =
      hand_made_gpt({.layers = 16, .h = 64, .a = 2, .vocabulary = 128, .positions = 64});
  const Cluster cluster = node_cluster({.devices = 32});
  const FakeCostModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 32,
                  .optimizer = Optimizer::adam,
                  .lengths = {.source = 64},
                  .precision = DType::fp16};
  const FoldedStep step(task, parse_strategy(GetParam().strategy));
  const std::vector<StageMemory> stages = step.estimate(costs).stages;
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const AllocatorStats stats = step.allocator_stats(static_cast<int>(s));
    // A shard of each of up to 18 units is rounded up to a whole number.
    const Bytes rounding = GetParam().gathers ? Bytes{18 * 2} : Bytes{};
    EXPECT_LE(stats.peak_requested, stages[s].peak + rounding) << s;
    EXPECT_GE(stats.peak_requested, stages[s].peak - stages[s].buffers) << s;
    EXPECT_GE(stats.peak_allocated, stats.peak_requested) << s;
    EXPECT_GE(stats.peak_reserved, stats.peak_allocated) << s;
    // Behind the step parameters, gradients and optimizer state are left.
    const StageMemory& m = stages[s];
    EXPECT_GE(stats.requested, m.parameters + m.gradients + m.optimizer) << s;
    EXPECT_LE(stats.requested, m.parameters + m.gradients + m.optimizer + rounding) << s;
  }
}

bool operator==(const AllocatorStats& a, const AllocatorStats& b) {
  return a.requested == b.requested && a.allocated == b.allocated && a.reserved == b.reserved &&
         a.peak_requested == b.peak_requested && a.peak_allocated == b.peak_allocated &&
         a.peak_reserved == b.peak_reserved && a.segments == b.segments && a.retries == b.retries;
}

// Many micro-batches, so that there is something to skip; sizes of all pools.
TEST_P(FoldedReserved, SkipsOnlyWhatRepeats) {
  for (const std::int64_t width : {64, 1024}) {
    const OpGraph gpt =
        hand_made_gpt({.layers = 16, .h = width, .a = 2, .vocabulary = 1000, .positions = 64});
    const Cluster cluster = node_cluster({.devices = 32});
    const FakeCostModel costs;
    Task task{.model = gpt,
              .cluster = cluster,
              .costs = costs,
              .global_batch = 512,
              .optimizer = Optimizer::adam,
              .lengths = {.source = 64},
              .precision = DType::fp16};
    const FoldedStep step(task, parse_strategy(GetParam().strategy));
    for (int s = 0; s < step.strategy().pp; ++s) {
      EXPECT_TRUE(step.allocator_stats(s) == step.allocator_stats(s, true)) << s;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Strategies, FoldedReserved,
    ::testing::Values(
        Case{"dp=4,micro_batch=2"}, Case{"tp=2,dp=4"}, Case{"pp=4,micro_batch=1"},
        Case{"pp=4,micro_batch=1,schedule=gpipe"}, Case{"pp=4,vpp=2,micro_batch=1,dp=2"},
        Case{"pp=4,micro_batch=1,schedule=zb-h1"}, Case{"pp=4,micro_batch=1,schedule=zb-h2"},
        Case{"pp=4,micro_batch=1,schedule=zb-v"}, Case{"pp=4,micro_batch=1,schedule=dualpipe"},
        Case{"dp=8,zero=1"}, Case{"dp=8,zero=2,micro_batch=2"}, Case{"dp=8,zero=3", true},
        Case{"tp=2,sp=1,pp=2,dp=2,micro_batch=2,recompute=selective"},
        Case{"cp=4,dp=2,micro_batch=2,recompute=full"}));

}  // namespace
}  // namespace foreplan
