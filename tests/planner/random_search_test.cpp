#include "tests/properties/random_search.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

// The first tasks of `random_searches plans 10000`.
TEST(RandomSearches, FindThePlanThatSimulatingEverythingFinds) {
  constexpr int kTasks = 150;
  const SmallTasks tasks(FOREPLAN_SOURCE_DIR "/models");
  int compared = 0, fitting = 0, mixed = 0, ordered = 0;
  for (std::uint64_t number = 0; compared < kTasks; ++number) {
    const Task task = tasks.draw(number);
    const SearchVerdict verdict = judge_search(task);
    if (verdict.strategies > kMostSimulated) continue;
    ASSERT_EQ(verdict.violation, "") << "task " << number << ": " << describe(task);
    ++compared;
    fitting += verdict.fits ? 1 : 0;
    mixed += task.cluster.specs().size() > 1 ? 1 : 0;
    ordered += verdict.ordered ? 1 : 0;
  }
  // A source of tasks that are all alike would show little.
  EXPECT_GT(fitting, kTasks / 2);
  EXPECT_LT(fitting, kTasks);
  EXPECT_GT(mixed, kTasks / 12);
  EXPECT_GT(ordered, kTasks / 10);
}

// The first tasks of `random_searches bounds 1000000`.
TEST(RandomSearches, HaveNoBoundAboveTheStepBelowIt) {
  constexpr int kWalks = 20;
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  int fitting = 0;
  for (std::uint64_t number = 0; number < 100; ++number) {
    for (const BoundVerdict& verdict : judge_bounds(source, number, kWalks)) {
      ASSERT_EQ(verdict.violation, "") << "task " << number;
      fitting += verdict.fits ? 1 : 0;
    }
  }
  EXPECT_GT(fitting, 500);
}

}  // namespace
}  // namespace foreplan
