#include "planner/scattered_step.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

FakeCostModel a_microsecond_an_op() {
  FakeCostModel costs;
  costs.op = [](const OpKey&) { return Duration(1us); };
  return costs;
}

// mlp 8 -> 16 -> 4 on two devices at 10 GB/s, a batch of 8: linear, relu, linear take 3 ops forward and
// 3 + 2 backward (no gradient of the samples: 2 products of weights, relu, one of the input); the loss 2
// ops for the whole batch; the update 1. Device 0 sends half the samples, 8 * 8 * 4 / 2 = 128 B, and all
// parameters, (8 * 16 + 16 + 16 * 4 + 4) * 4 = 848 B; it gets half the outputs, 8 * 4 * 4 / 2 = 64 B,
// sends as much back, and gets 848 B of gradients. At 10 GB/s: 0.1 ns a byte.
TEST(ScatteredStep, GoesThroughDeviceZeroOneAfterTheOther) {
  const OpGraph model = mlp({8, 16, 4});
  const Cluster cluster = fake_cluster(2);
  const FakeCostModel costs = a_microsecond_an_op();
  const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  const ScatteredStep step(task, {.dp = 2, .replication = Replication::dataparallel});
  const Estimate estimate = step.estimate();
  const Duration wire = Duration(100) * (128 + 848 + 64 + 64 + 848);
  EXPECT_EQ(estimate.step_time, 3us + 4us + 2us + 1us + wire);
  EXPECT_EQ(estimate.breakdown.exposed_communication, wire);
  EXPECT_EQ(estimate.breakdown.compute, 7us + 1us);  // the loss is one device's of two
  const FoldedGraph folded = step.graph();
  EXPECT_EQ(makespan(replay(folded.graph, folded.costs)), estimate.step_time);
}

// Nothing to serve: the same as one device without clipping.
TEST(ScatteredStep, IsAPlainStepOnOneDevice) {
  const OpGraph model = mlp({8, 16, 4});
  const Cluster cluster = fake_cluster(1);
  const FakeCostModel costs = a_microsecond_an_op();
  Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  task.stack.clip_gradients = false;
  EXPECT_EQ(ScatteredStep(task, {.replication = Replication::dataparallel}).estimate().step_time,
            FoldedStep(task, {}).estimate(costs).step_time);
}

TEST(ScatteredStep, RefusesMoreThanReplicas) {
  const OpGraph model = mlp({8, 16, 4});
  const Cluster cluster = fake_cluster(2);
  const FakeCostModel costs;
  const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  const auto complaint = [&](Strategy strategy) -> std::string {
    strategy.replication = Replication::dataparallel;
    try {
      ScatteredStep step(task, strategy);
    } catch (const Error& error) {
      return error.what();
    }
    return "no complaint";
  };
  EXPECT_THAT(complaint({.tp = 2}), HasSubstr("goes with dp alone"));
  EXPECT_THAT(complaint({.dp = 4}), HasSubstr("needs 4 devices, the cluster has 2"));
  EXPECT_THAT(complaint({.dp = 2, .micro_batch = 2}), HasSubstr("whole share at a time"));
}

}  // namespace
}  // namespace foreplan
