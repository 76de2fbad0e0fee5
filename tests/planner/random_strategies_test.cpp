#include <gtest/gtest.h>

#include <string>

#include "planner/estimate.hpp"
#include "sim/error.hpp"
#include "tests/properties/step_properties.hpp"

namespace foreplan {
namespace {

// Steps 0 to 4999 of random_strategies, which asks a million.
TEST(RandomStrategies, AreEstimatedOrRefusedWithAReason) {
  constexpr std::uint64_t kSteps = 5000;
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  std::uint64_t estimated = 0;
  for (std::uint64_t number = 0; number < kSteps; ++number) {
    const RandomStep step = source.draw(number);
    const Verdict verdict = judge(step);
    ASSERT_EQ(verdict.violation, "") << "step " << number << ": " << describe(step);
    estimated += verdict.refusal.empty() ? 1 : 0;
  }
  // A source whose steps are all refused would show nothing.
  EXPECT_GT(estimated, kSteps / 6);
  EXPECT_LT(estimated, kSteps * 4 / 5);
}

// What is lowered device by device is refused or estimated too, and never folds what it cannot.
TEST(RandomStrategies, AreEstimatedOrRefusedWhenLowered) {
  constexpr std::uint64_t kSteps = 400;
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  int estimated = 0;
  for (std::uint64_t number = 0, asked = 0; asked < kSteps; ++number) {
    RandomStep step = source.draw(number);
    step.task.precision = DType::fp32;
    step.task.slow.clear();
    if (!is_lowered(step.task, step.strategy)) continue;
    ++asked;
    try {
      const Estimate result = estimate(step.task, step.strategy);
      EXPECT_GT(result.step_time, Duration::zero()) << describe(step);
      ++estimated;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << describe(step);
      EXPECT_STRNE(error.what(), "") << describe(step);
    }
  }
  EXPECT_GT(estimated, 20);
}

TEST(RandomStrategies, AreTheSameForTheSameNumber) {
  const StepSource source(FOREPLAN_SOURCE_DIR "/models");
  EXPECT_EQ(describe(source.draw(7)), describe(source.draw(7)));
  EXPECT_NE(describe(source.draw(7)), describe(source.draw(8)));
}

}  // namespace
}  // namespace foreplan
