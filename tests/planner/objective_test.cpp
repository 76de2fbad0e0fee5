#include "planner/objective.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

Estimate step_of(Duration time, int devices) {
  Estimate step;
  step.step_time = time;
  step.strategy = {.dp = devices};
  return step;
}

Plan plan_of(Duration time, int devices) {
  Plan plan;
  plan.best = step_of(time, devices);
  return plan;
}

class Objective : public ::testing::Test {
 protected:
  const OpGraph gpt_ = hand_made_gpt({.layers = 2, .h = 8, .a = 2, .vocabulary = 16});
  const OpGraph mlp_ = mlp({16, 16, 4});
  const Cluster cluster_ = shorthand_node(4, fake_device());
  const RooflineModel costs_;
  const Task words_{.model = gpt_,
                    .cluster = cluster_,
                    .costs = costs_,
                    .global_batch = 10,
                    .lengths = {.source = 4}};
  const Task features_{.model = mlp_, .cluster = cluster_, .costs = costs_, .global_batch = 10};
};

// 10 samples of 4 tokens a step: 40 tokens; 81 of them take three steps, 80 two.
TEST_F(Objective, CountsWholeSteps) {
  EXPECT_EQ(steps_for_tokens(words_, 80), 2);
  EXPECT_EQ(steps_for_tokens(words_, 81), 3);
  EXPECT_EQ(steps_for_samples(words_, 81), 9);
  EXPECT_EQ(steps_for_samples(features_, 1), 1);
  // 15 T tokens by 40: more steps than 32 bits hold.
  EXPECT_DOUBLE_EQ(steps_for_tokens(words_, 15e12), 375e9);
}

TEST_F(Objective, RefusesAmountsThatMeanNothing) {
  EXPECT_NE(complaint([&] { steps_for_tokens(features_, 80); }).find("reads none"),
            std::string::npos);
  for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    EXPECT_NE(complaint([&] { steps_for_samples(words_, wrong); }).find("expected a number > 0"),
              std::string::npos);
    EXPECT_NE(complaint([&] { forecast_training(step_of(1s, 1), wrong); }).find("steps"),
              std::string::npos);
  }
  EXPECT_NE(complaint([&] { forecast_training(step_of(1s, 1), 1, -2); }).find("price"),
            std::string::npos);
  EXPECT_NE(complaint([&] {
              fewest_devices([](int) { return Plan{}; }, 0, 1s);
            }).find("devices: expected >= 1"),
            std::string::npos);
}

// 7200 steps of 2 s on 8 devices: 4 h, 32 device hours, at 2.5 each 80.
TEST_F(Objective, IsTimeAndMoney) {
  const TrainingForecast training = forecast_training(step_of(2s, 8), 7200, 2.5);
  EXPECT_DOUBLE_EQ(training.time_s, 14400);
  EXPECT_EQ(training.devices, 8);
  EXPECT_DOUBLE_EQ(training.device_hours, 32);
  EXPECT_DOUBLE_EQ(training.cost.value(), 80);
  EXPECT_FALSE(forecast_training(step_of(2s, 8), 7200).cost);
}

// Steps of 1000 / n ms for up to n devices, which a search would find for some of them only: every deadline has
// the answer that trying all numbers has, with at most 1 + log2(64) plans.
TEST_F(Objective, FindsTheFewestDevicesForADeadline) {
  const auto step = [](int devices) { return Duration(1000ms) / (devices / 3 + 1); };
  for (const Duration longest : std::vector<Duration>{1ms, 50ms, 63ms, 100ms, 999ms, 1000ms, 2s}) {
    int asked = 0;
    const auto found = fewest_devices(
        [&](int devices) {
          ++asked;
          return plan_of(step(devices), devices);
        },
        64, longest);
    EXPECT_LE(asked, 7);
    int expected = 0;
    for (int n = 64; n >= 1; --n) expected = step(n) <= longest ? n : expected;
    ASSERT_EQ(found.has_value(), expected > 0);
    if (!found) continue;
    EXPECT_EQ(found->devices, expected);
    EXPECT_EQ(found->plan.best->step_time, step(expected));
  }
}

TEST_F(Objective, NeedsNoDeviceMoreThanThePlannerDoes) {
  const Task task = features_;
  const PlanOn plan_on = [&](int devices) { return plan(task, {.devices = devices}); };
  const Duration two = plan_on(2).best->step_time;
  const auto found = fewest_devices(plan_on, 4, two);
  ASSERT_TRUE(found);
  EXPECT_LE(found->devices, 2);
  EXPECT_LE(found->plan.best->step_time, two);
  EXPECT_FALSE(fewest_devices(plan_on, 4, Duration(1)));
}

// What does not fit on few devices is as too slow.
TEST_F(Objective, TakesNothingThatDoesNotFit) {
  const PlanOn plan_on = [](int devices) { return devices < 5 ? Plan{} : plan_of(1s, devices); };
  EXPECT_EQ(fewest_devices(plan_on, 8, 1h)->devices, 5);
  EXPECT_FALSE(fewest_devices(plan_on, 4, 1h));
}

// Device-seconds 4 x 1, 2 x 1.5 and 1 x 3.5: three on two devices; within 1.2 s only four devices are left.
TEST_F(Objective, FindsTheCheapest) {
  const PlanOn plan_on = [](int devices) {
    const Duration time = devices == 4 ? Duration(1s) : devices == 2 ? Duration(1500ms) : 3500ms;
    return plan_of(time, devices);
  };
  const std::array counts{1, 2, 4};
  EXPECT_EQ(cheapest(plan_on, counts)->devices, 2);
  EXPECT_DOUBLE_EQ(device_seconds(*cheapest(plan_on, counts)->plan.best), 3);
  EXPECT_EQ(cheapest(plan_on, counts, 1200ms)->devices, 4);
  EXPECT_FALSE(cheapest(plan_on, counts, 900ms));
}

TEST_F(Objective, OfEquallyCheapPlansTakesTheSmallest) {
  const PlanOn plan_on = [](int devices) { return plan_of(Duration(4s) / devices, devices); };
  EXPECT_EQ(cheapest(plan_on, std::array{4, 2, 1})->devices, 1);
}

}  // namespace
}  // namespace foreplan
