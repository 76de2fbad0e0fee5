#include "planner/explain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/roofline.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

Estimate step_of(const Strategy& strategy, Duration compute, Duration communication,
                 Duration bubble = {}) {
  Estimate step;
  step.strategy = strategy;
  step.breakdown.compute = compute;
  step.breakdown.exposed_communication = communication;
  step.breakdown.idle = bubble;
  step.step_time = compute + communication + bubble;
  return step;
}

TEST(TimeParts, StandInTheOrderOfTheirLength) {
  const auto parts = time_parts(step_of({}, 60ms, 30ms, 10ms));
  ASSERT_EQ(parts.size(), 4U);
  EXPECT_EQ(parts[0].what, "compute");
  EXPECT_EQ(parts[1].what, "exposed communication");
  EXPECT_EQ(parts[2].what, "bubble");
  EXPECT_EQ(parts[3].what, "optimizer");
  EXPECT_DOUBLE_EQ(parts[0].share, 0.6);
  EXPECT_DOUBLE_EQ(parts[1].share, 0.3);
  EXPECT_EQ(parts[2].time, Duration(10ms));
}

TEST(Differences, TellTheKeysOfTheOther) {
  const Strategy best{.dp = 4, .tp = 2, .micro_batch = 1, .layers = {3}};
  EXPECT_THAT(differences(best, best), ElementsAre());
  const Strategy other{.dp = 2,
                       .tp = 2,
                       .pp = 2,
                       .micro_batch = 2,
                       .zero = 1,
                       .sp = true,
                       .recompute = Recompute::full,
                       .schedule = Schedule::gpipe,
                       .layers = {2, 1}};
  EXPECT_THAT(differences(best, other), ElementsAre("dp=2", "pp=2", "micro_batch=2", "zero=1",
                                                    "sp=1", "recompute=full", "schedule=gpipe"));
  EXPECT_THAT(differences({.pp = 2, .layers = {1, 2}}, {.pp = 2, .layers = {2, 1}}),
              ElementsAre("layers=2+1"));
  EXPECT_THAT(differences(parse_strategy("order=dp-tp-pp-cp"), {}),
              ElementsAre("order=tp-cp-dp-pp"));
  EXPECT_THAT(differences({.recompute_layers = 2}, {}), ElementsAre("recompute_layers left out"));
}

class Explained : public ::testing::Test {
 protected:
  const OpGraph model_ = mlp({256, 256, 256, 256});
  const RooflineModel costs_;
  const Cluster cluster_ = shorthand_node(4, fake_device(), 1_GBps);
  Task task_{.model = model_, .cluster = cluster_, .costs = costs_, .global_batch = 64};
  const Planning planning_ = [](const Task& task) { return plan(task, {}); };
};

// Runner-up 25 % slower: 20 ms more communication, 5 ms more compute; the one before does not fit.
TEST_F(Explained, ComparesWithTheRunnerUp) {
  Plan plan;
  plan.best = step_of({.dp = 4}, 80ms, 20ms);
  Estimate crowded = step_of({.dp = 2}, 10ms, 10ms);
  crowded.feasible = false;
  plan.alternatives = {crowded, step_of({.tp = 4}, 85ms, 40ms)};
  const Explanation why = explain(task_, plan);
  ASSERT_TRUE(why.runner_up);
  EXPECT_NEAR(why.runner_up->slower, 0.25, 1e-12);
  EXPECT_THAT(why.runner_up->differs, ElementsAre("dp=1", "tp=4"));
  EXPECT_EQ(why.runner_up->more[0].what, "exposed communication");
  EXPECT_EQ(why.runner_up->more[0].time, Duration(20ms));
  EXPECT_NEAR(why.runner_up->more[1].share, 0.05, 1e-12);
  plan.alternatives = {crowded};
  EXPECT_FALSE(explain(task_, plan).runner_up);
}

TEST_F(Explained, TellsTheFullestStage) {
  Plan plan;
  plan.best = step_of({.pp = 2}, 1ms, 1ms);
  plan.best->stages.resize(2);
  plan.best->stages[0].peak = 300_MB;
  plan.best->stages[1].stage = 1;
  plan.best->stages[1].peak = 400_MB;
  task_.stack.context_bytes = 100_MB;
  const MemoryUse use = explain(task_, plan).memory;
  EXPECT_EQ(use.stage, 1);
  EXPECT_EQ(use.peak, 500_MB);
  EXPECT_EQ(use.room, 1_GB);
}

TEST_F(Explained, RefusesAnEmptyPlan) {
  EXPECT_NE(complaint([&] { explain(task_, {}); }).find("nothing to explain"), std::string::npos);
  EXPECT_NE(complaint([&] { sensitivities(task_, {}, 1.2, planning_); }).find("nothing to explain"),
            std::string::npos);
}

// Planned anew with more of anything, no plan is slower; with as much, it is the same.
TEST_F(Explained, GainsWhatMoreWouldBring) {
  const Plan found = plan(task_, {});
  for (const double factor : {1.0, 1.2, 4.0}) {
    const auto results = sensitivities(task_, found, factor, planning_);
    ASSERT_EQ(results.size(), 3U);
    for (const Sensitivity& more : results) {
      EXPECT_DOUBLE_EQ(more.factor, factor);
      EXPECT_GE(more.gain_kept, -1e-12) << more.what;
      EXPECT_GE(more.gain, more.gain_kept) << more.what;
      EXPECT_EQ(more.changes_plan, more.best->strategy != found.best->strategy);
      if (factor > 1) continue;
      EXPECT_EQ(more.gain, 0) << more.what;
      EXPECT_FALSE(more.changes_plan) << more.what;
    }
    EXPECT_EQ(results[1].what, "device memory");
  }
}

// Adam's state of one replica is too large for a device: with four times the memory data parallelism fits, and
// over slow links nothing beats that.
TEST_F(Explained, FindsThatMemoryWouldChangeThePlan) {
  task_.optimizer = Optimizer::adam;
  const Bytes state{16 * model_.parameter_count()};
  const Cluster small = shorthand_node(4, fake_device(Bytes{state.count * 3 / 4}), 1_GBps);
  const Task tight{.model = model_,
                   .cluster = small,
                   .costs = costs_,
                   .global_batch = 64,
                   .optimizer = Optimizer::adam};
  const Plan found = plan(tight, {});
  ASSERT_TRUE(found.best);
  const Sensitivity memory = sensitivities(tight, found, 4, planning_)[1];
  EXPECT_TRUE(memory.changes_plan);
  EXPECT_GT(memory.gain, 0);
  EXPECT_EQ(memory.gain_kept, 0);
}

}  // namespace
}  // namespace foreplan
