#include <gtest/gtest.h>

#include <cmath>

#include "tools/validation.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

ValidationRow row(const std::string& model, Duration forecast, Duration measured) {
  ValidationRow row;
  row.workload.model = model;
  row.forecast.step_time = forecast;
  row.measured.mean = measured;
  return row;
}

TEST(ValidationRow, ErrorIsForecastOverMeasuredMinusOne) {
  EXPECT_NEAR(row("a", 3us, 2us).error(), 0.5, 1e-12);
  EXPECT_NEAR(row("a", 1us, 2us).error(), -0.5, 1e-12);
  EXPECT_NEAR(row("a", 2us, 2us).error(), 0, 1e-12);
}

// Errors 2/1 - 1 = 1 and 1/2 - 1 = -1/2: mean of their sizes 3/4, mean 1/4, largest 1. The order is
// reversed. The second is forecast fastest and took 2 us, the fastest took 1: regret 2/1 - 1.
TEST(ValidationSummary, MatchesAHandComputedCase) {
  const std::vector<ValidationSummary> all = summarise({row("a", 2us, 1us), row("a", 1us, 2us)});
  ASSERT_EQ(all.size(), 2U);
  for (const ValidationSummary& summary : all) {
    EXPECT_EQ(summary.rows, 2);
    EXPECT_NEAR(summary.mape, 0.75, 1e-12);
    EXPECT_NEAR(summary.bias, 0.25, 1e-12);
    EXPECT_NEAR(summary.max, 1, 1e-12);
    EXPECT_NEAR(summary.spearman, -1, 1e-12);
    EXPECT_NEAR(summary.regret, 1, 1e-12);
  }
  EXPECT_EQ(all[0].source, "a");
  EXPECT_EQ(all[1].source, "all");
}

// Forecast ranks 1/2, 1/2, 2 (equals share theirs) and measured ranks 0, 1, 2; less the mean of 1:
// -1/2, -1/2, 1 and -1, 0, 1. Their products add up to 3/2, their squares to 3/2 and 2.
TEST(ValidationSummary, LetsEqualTimesShareTheirRank) {
  const auto all = summarise({row("a", 1us, 3us), row("a", 1us, 4us), row("a", 2us, 5us)});
  EXPECT_NEAR(all[0].spearman, 1.5 / std::sqrt(1.5 * 2), 1e-12);
}

// Ranks only: the correlation of any rising curve is 1.
TEST(ValidationSummary, IsPerfectlyCorrelatedWhereTheOrderIsRight) {
  const auto all = summarise(
      {row("a", 1us, 10us), row("a", 3us, 400us), row("a", 2us, 11us), row("a", 9us, 500us)});
  EXPECT_NEAR(all[0].spearman, 1, 1e-12);
  EXPECT_NEAR(all[0].regret, 0, 1e-12);
}

// Networks in order of appearance, then all. a: errors 1 and 0, the right choice. b: error -1/2, and
// of all three: mean 1/6, mean of sizes 1/2.
TEST(ValidationSummary, GoesByNetworkAndThenOverAll) {
  const auto all = summarise({row("z", 2us, 1us), row("b", 1us, 2us), row("z", 9us, 9us)});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].source, "z");
  EXPECT_EQ(all[0].rows, 2);
  EXPECT_NEAR(all[0].bias, 0.5, 1e-12);
  EXPECT_EQ(all[1].source, "b");
  EXPECT_EQ(all[1].rows, 1);
  EXPECT_NEAR(all[1].bias, -0.5, 1e-12);
  EXPECT_EQ(all[2].source, "all");
  EXPECT_EQ(all[2].rows, 3);
  EXPECT_NEAR(all[2].bias, 1.0 / 6, 1e-12);
  EXPECT_NEAR(all[2].mape, 0.5, 1e-12);
}

// a chooses rightly. b chooses 5 us where 4 us was to be had: 1/4. Over all rows the fastest forecast
// is b's 1 us, which measured 5 us against a's 2 us; but networks do not compete: 1/4, not 3/2.
TEST(ValidationSummary, TakesTheWorseChoiceOfTheNetworksOverAll) {
  const auto all =
      summarise({row("a", 2us, 2us), row("a", 3us, 3us), row("b", 1us, 5us), row("b", 2us, 4us)});
  EXPECT_NEAR(all[0].regret, 0, 1e-12);
  EXPECT_NEAR(all[1].regret, 0.25, 1e-12);
  EXPECT_NEAR(all[2].regret, 0.25, 1e-12);
}

TEST(ValidationSummary, HasNoCorrelationOfOneRow) {
  const auto all = summarise({row("a", 1us, 2us)});
  EXPECT_EQ(all[0].spearman, 0);
  EXPECT_EQ(all[0].regret, 0);
}

TEST(ValidationSummary, IsAllZerosWithoutRows) {
  const auto all = summarise(std::vector<ValidationRow>{});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].source, "all");
  EXPECT_EQ(all[0].rows, 0);
  EXPECT_EQ(all[0].mape, 0);
}

}  // namespace
}  // namespace foreplan
