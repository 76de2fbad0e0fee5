#include "tools/plan_goal.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

class GoalOf : public ::testing::Test {
 protected:
  const OpGraph gpt_ = hand_made_gpt({.layers = 2, .h = 8, .a = 2, .vocabulary = 16});
  const Cluster cluster_ = shorthand_node(4, fake_device());
  const RooflineModel costs_;
  // 40 tokens a step.
  const Task task_{.model = gpt_,
                   .cluster = cluster_,
                   .costs = costs_,
                   .global_batch = 10,
                   .lengths = {.source = 4}};
};

/// A step of 4 s over devices, on as many as asked.
Plan plan_on(int devices) {
  Plan plan;
  plan.best = Estimate{};
  plan.best->strategy = {.dp = devices};
  plan.best->step_time = Duration(4s) / devices + Duration(1s);
  return plan;
}

TEST(Deadline, IsReadWithItsUnit) {
  EXPECT_EQ(deadline_s("90s"), 90);
  EXPECT_EQ(deadline_s("1.5h"), 5400);
  EXPECT_EQ(deadline_s("30d"), 30 * 86400);
  for (const char* wrong : {"", "30", "d", "-1d", "0s", "1w", "1dd", "nand", "infd"}) {
    EXPECT_NE(complaint([&] { deadline_s(wrong); }).find("--deadline: expected a time > 0"),
              std::string::npos)
        << wrong;
  }
}

// 4000 tokens are 100 steps; a deadline of 200 s leaves 2 s a step.
TEST_F(GoalOf, TokensAndADeadlineIsALongestStep) {
  const Goal goal = goal_of({.tokens = 4000, .price = 3, .deadline = "200s"}, task_);
  EXPECT_EQ(goal.steps, 100);
  EXPECT_EQ(goal.longest_step, Duration(2s));
  EXPECT_EQ(goal_of({.samples = 4000}, task_).steps, 400);
  EXPECT_FALSE(goal_of({}, task_).steps);
}

TEST_F(GoalOf, RefusesWhatLacksItsOther) {
  const auto said = [&](const GoalOptions& options, const char* words) {
    EXPECT_NE(complaint([&] { goal_of(options, task_); }).find(words), std::string::npos) << words;
  };
  said({.objective = "speed"}, "--objective: expected time, cost or devices");
  said({.tokens = 1, .samples = 1}, "--samples: goes without --tokens");
  said({.price = 1}, "--price-per-device-hour: needs --tokens or --samples");
  said({.deadline = "1d"}, "--deadline: needs --tokens or --samples");
  said({.objective = "devices", .tokens = 1}, "--objective devices: needs --deadline");
}

// Steps of 5, 3, 2.33 and 2 s: two devices are the fewest within 3 s; device-seconds of 5, 6 and 8 make one the
// cheapest, and within 3 s two.
TEST_F(GoalOf, ChoosesThePlan) {
  Goal goal{.steps = 100, .longest_step = Duration(3s)};
  EXPECT_EQ(plan_for(goal, plan_on, 4).plan.best->strategy.dp, 4);
  goal.objective = Goal::Objective::devices;
  EXPECT_EQ(plan_for(goal, plan_on, 4).plan.best->strategy.dp, 2);
  goal.objective = Goal::Objective::cost;
  EXPECT_EQ(plan_for(goal, plan_on, 4).plan.best->strategy.dp, 2);
  goal.longest_step = Duration::max();
  EXPECT_EQ(plan_for(goal, plan_on, 4).plan.best->strategy.dp, 1);
}

// 2 s at best, and 1 s is left: 0.0556 h of 0.0278 h.
TEST_F(GoalOf, SaysHowFarTheDeadlineIs) {
  for (const auto objective :
       {Goal::Objective::time, Goal::Objective::cost, Goal::Objective::devices}) {
    const Goal goal{.objective = objective, .steps = 100, .longest_step = Duration(1s)};
    try {
      plan_for(goal, plan_on, 4);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::infeasible);
      EXPECT_NE(std::string(error.what()).find("0.0556 h at best, 0.0278 h"), std::string::npos)
          << error.what();
    }
  }
}

// 86400 steps of 2 s on four devices: two days, 192 device hours, at 2.5 each 480.
TEST_F(GoalOf, TellsTheTraining) {
  const Goal goal{.steps = 86400, .price = 2.5};
  const Estimate step = *plan_on(4).best;
  EXPECT_EQ(describe_training(goal, step),
            "training: 86400 steps, 2 days on 4 devices, 192 device hours, cost 480\n");
  EXPECT_EQ(describe_training({}, step), "");
  EXPECT_EQ(training_json(goal, step)["cost"], 480);
  EXPECT_TRUE(training_json({}, step).is_null());
}

TEST_F(GoalOf, TellsWhy) {
  Plan plan = plan_on(4);
  plan.best->breakdown.compute = Duration(1500ms);
  plan.best->breakdown.exposed_communication = Duration(500ms);
  Estimate other = *plan.best;
  other.strategy = {.tp = 4};
  other.step_time = Duration(2500ms);
  other.breakdown.exposed_communication = Duration(1s);
  plan.alternatives = {other};
  Explanation why = explain(task_, plan);
  why.sensitivities = {
      {.what = "compute", .factor = 1.2, .gain_kept = 0.1, .gain = 0.1},
      {.what = "device memory", .factor = 1.2, .gain = 0.25, .best = other, .changes_plan = true}};
  EXPECT_EQ(describe(why),
            "why: compute 75.0 %, exposed communication 25.0 %; limited by compute; 0 B of 1 GB in "
            "use on stage 0\n"
            "runner-up: 25.0 % slower with dp=1, tp=4: 500 ms more exposed communication\n"
            "20 % more compute: 10.0 % faster, with the same plan\n"
            "20 % more device memory: 25.0 % faster, with tp=4 (0.0 % with the same plan)\n");
  const auto json = to_json(why);
  EXPECT_EQ(json["parts"][0]["what"], "compute");
  EXPECT_EQ(json["runner_up"]["differs"], (std::vector<std::string>{"dp=1", "tp=4"}));
  EXPECT_EQ(json["sensitivities"][1]["changes_plan"], true);
}

}  // namespace
}  // namespace foreplan
