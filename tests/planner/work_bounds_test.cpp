#include "planner/work_bounds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "planner/folded_step.hpp"
#include "sim/error.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"
#include "tests/properties/random_step.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

std::optional<Duration> bound(const Task& task, const Strategy& strategy) {
  std::string reason;
  return WorkBounds(task).bound(strategy, reason);
}

// Random steps that can be forecast folded, of every network, cluster, schedule and saver.
TEST(WorkBounds, NeverExceedTheForecast) {
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  int compared = 0;
  for (std::uint64_t number = 0; number < 4000; ++number) {
    const RandomStep step = source.draw(number);
    if (step.strategy.schedule == Schedule::dualpipe) continue;
    std::optional<Estimate> forecast;
    try {
      forecast = FoldedStep(step.task, step.strategy).estimate(step.task.costs);
    } catch (const Error&) {
      continue;
    }
    const std::optional<Duration> least = bound(step.task, forecast->strategy);
    ASSERT_TRUE(least) << describe(step);
    ASSERT_LE(*least, forecast->step_time) << describe(step);
    ++compared;
  }
  EXPECT_GT(compared, 700);
}

// Without stages, exchanges and recomputation all that a step computes is its units' work.
TEST(WorkBounds, AreTheComputeOfASingleStage) {
  const OpGraph model = mlp({16, 16, 16, 16});
  const Cluster cluster = fake_cluster(2);
  FakeCostModel costs;
  costs.op = [](const OpKey&) { return Duration(1ms); };
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 12,
                  .collectives = CollectiveAlgorithm::ring};
  for (const std::int64_t size : {1, 2, 3, 12}) {
    const Strategy strategy{.micro_batch = size};
    const Estimate step = FoldedStep(task, strategy).estimate(costs);
    EXPECT_EQ(bound(task, strategy), step.breakdown.compute) << size;
  }
}

// Stages alike, t each a micro-batch: 1F1B and GPipe take (m + p - 1) t, and the last stage's bound is
// m t + (p - 1) t. Interleaved, v chunks: (m v + p - 1) t / v, and m t + (p - 1) t / v.
TEST(WorkBounds, AreExactForEvenPipelines) {
  const OpGraph gpt = hand_made_gpt({.layers = 8, .h = 8, .a = 2, .vocabulary = 16});
  const Cluster cluster = fake_cluster(4, fake_device(1000_GB));
  FakeCostModel costs;
  // Ends and optimizer are free: products of the layers alone take time, none of them with a side of 16.
  costs.op = [](const OpKey& key) {
    const bool head = std::count(key.shape.begin(), key.shape.end(), 16) > 0;
    return key.op == "linear" && !head ? Duration(1ms) : Duration::zero();
  };
  Task task{.model = gpt,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 8,
            .lengths = {.source = 4}};
  for (const auto& [vpp, schedule] :
       {std::pair{1, Schedule::one_f_one_b}, std::pair{1, Schedule::gpipe},
        std::pair{2, Schedule::one_f_one_b}}) {
    const Strategy strategy{.pp = 4, .vpp = vpp, .micro_batch = 1, .schedule = schedule};
    const Estimate step = FoldedStep(task, strategy).estimate(costs);
    ASSERT_GT(step.breakdown.compute, Duration::zero());
    const auto least = bound(task, strategy);
    ASSERT_TRUE(least);
    EXPECT_LE(*least, step.step_time);
    // Hops of 4 positions of 8 numbers at 10 GB/s are all that is missing.
    EXPECT_GT(seconds(*least), 0.999 * seconds(step.step_time)) << format(strategy);
  }
}

TEST(WorkBounds, SayWhyThereIsNone) {
  const OpGraph model = mlp({16, 16, 16});
  const Cluster cluster = fake_cluster(8);
  const FakeCostModel costs;
  const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  std::string reason;
  const WorkBounds bounds(task);
  EXPECT_EQ(bounds.bound({.dp = 3, .micro_batch = 1}, reason), std::nullopt);
  EXPECT_NE(reason.find("dp=3 does not divide"), std::string::npos) << reason;
  for (int again = 0; again < 2; ++again) {
    reason.clear();
    EXPECT_EQ(bounds.bound({.tp = 3, .micro_batch = 1}, reason), std::nullopt);
    EXPECT_NE(reason.find("tp=3 does not divide"), std::string::npos) << reason;
  }
  EXPECT_EQ(bounds.bound({.pp = 5, .micro_batch = 1}, reason), std::nullopt);
  EXPECT_NE(reason.find("5 stages"), std::string::npos) << reason;
}

// Which device is slow matters there, and the bound does not look.
TEST(WorkBounds, AreZeroWhereDevicesDiffer) {
  const OpGraph model = mlp({16, 16, 16});
  const Cluster cluster = fake_cluster(2);
  FakeCostModel costs;
  costs.op = [](const OpKey&) { return Duration(1ms); };
  Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  task.slow = {{DeviceId{1}, 2.0}};
  EXPECT_EQ(bound(task, {.dp = 2, .micro_batch = 1}), Duration::zero());
  // Nor where tasks are lowered device by device, as the runtime runs them.
  task.slow.clear();
  EXPECT_EQ(bound(task, {.dp = 2, .micro_batch = 1}), Duration::zero());
  task.collectives = CollectiveAlgorithm::ring;
  EXPECT_GT(bound(task, {.dp = 2, .micro_batch = 1}), Duration::zero());
}

}  // namespace
}  // namespace foreplan
