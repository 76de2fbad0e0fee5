#include "profiler/fit.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

// t = o + r w through (1e6, 2 us) and (3e6, 4 us): r = 2 us / 2e6 = 1e-12 s, o = 2 us - 1 us = 1 us.
TEST(FitLine, GoesThroughTwoPoints) {
  const LineFit fit = fit_line({{1e6, 2us}, {3e6, 4us}});
  EXPECT_EQ(fit.overhead, 1us);
  EXPECT_NEAR(fit.per_s, 1e12, 1);
  EXPECT_NEAR(fit.residual, 0, 1e-9);
  EXPECT_EQ(fit.points, 2);
  EXPECT_EQ(fit.what, "");
  EXPECT_EQ(fit.variable, "");
  EXPECT_EQ(fit.fitted_on, "");
}

// In units of 1e6 and us: (1, 1), (2, 2), (4, 2). Rows a = w / t: 1, 1, 2 and b = 1 / t: 1, 1/2, 1/2
// are to give 1 each. Normal equations: 6 r + 5/2 o = 4 and 5/2 r + 3/2 o = 2, of determinant 11/4:
// r = (6 - 5) / (11/4) = 4/11, o = (12 - 10) / (11/4) = 8/11. The errors are 12/11, 8/11 and 12/11
// less 1: 1/11, -3/11 and 1/11; their root mean square is sqrt(11/121/3) = sqrt(1/33).
TEST(FitLine, MinimisesTheRelativeErrorOfThreePoints) {
  const LineFit fit = fit_line({{1e6, 1us}, {2e6, 2us}, {4e6, 2us}});
  EXPECT_EQ(fit.overhead, Duration{727'273});
  EXPECT_NEAR(fit.per_s, 11.0 / 4 * 1e12, 10);
  EXPECT_NEAR(fit.residual, std::sqrt(1.0 / 33), 1e-9);
  EXPECT_EQ(fit.points, 3);
}

// The line through (1, 1) and (2, 4) has overhead -2. Through the origin, a = 1 and 1/2:
// r = (1 + 1/2) / (1 + 1/4) = 6/5; errors 1/5 and 3/5 - 1 = -2/5, root mean square sqrt(1/10).
TEST(FitLine, GoesThroughTheOriginWhereTheOverheadWouldBeNegative) {
  const LineFit fit = fit_line({{1e6, 1us}, {2e6, 4us}});
  EXPECT_EQ(fit.overhead, 0us);
  EXPECT_NEAR(fit.per_s, 5.0 / 6 * 1e12, 10);
  EXPECT_NEAR(fit.residual, std::sqrt(0.1), 1e-9);
}

// (1, 2) and (2, 1) lie on a falling line. Through the origin, a = 1/2 and 2:
// r = (5/2) / (17/4) = 10/17; errors 5/17 - 1 = -12/17 and 20/17 - 1 = 3/17: sqrt(153/578).
TEST(FitLine, GoesThroughTheOriginWhereMoreWorkTookLessTime) {
  const LineFit fit = fit_line({{1e6, 2us}, {2e6, 1us}});
  EXPECT_EQ(fit.overhead, 0us);
  EXPECT_NEAR(fit.per_s, 1.7e12, 10);
  EXPECT_NEAR(fit.residual, std::sqrt(153.0 / 578), 1e-9);
}

TEST(FitLine, GoesThroughTheOriginAndASinglePoint) {
  const LineFit fit = fit_line({{4e6, 2us}});
  EXPECT_EQ(fit.overhead, 0us);
  EXPECT_NEAR(fit.per_s, 2e12, 10);
  EXPECT_NEAR(fit.residual, 0, 1e-9);
  EXPECT_EQ(fit.points, 1);
}

TEST(FitLine, TellsThatThereWereNoPoints) {
  const LineFit fit = fit_line({});
  EXPECT_EQ(fit.points, 0);
  EXPECT_EQ(fit.per_s, 0);
  EXPECT_EQ(fit.overhead, 0us);
}

TEST(FitLine, LeavesOutPointsWithoutTimeOrWork) {
  EXPECT_EQ(fit_line({{0, 1us}, {1e6, 0us}, {-1, 1us}, {1, -1us}}).points, 0);
  EXPECT_EQ(fit_line({{0, 1us}, {4e6, 2us}, {1e6, 0us}}), fit_line({{4e6, 2us}}));
}

// The best constant c for 1, 2 and 4 us has the least sum of (c / t - 1)^2:
// c = (1 + 1/2 + 1/4) / (1 + 1/4 + 1/16) = 4/3 us, however overhead and rate share it.
TEST(FitLine, ForecastsTheBestTimeWhereAllPointsHaveTheSameWork) {
  const double work = 3.3e6;
  const LineFit fit = fit_line({{work, 1us}, {work, 2us}, {work, 4us}});
  EXPECT_GE(fit.overhead, 0us);
  EXPECT_GT(fit.per_s, 0);
  EXPECT_NEAR(seconds(fit.overhead) + work / fit.per_s, 4.0 / 3 * 1e-6, 1e-12);
}

std::vector<FitPoint> points_of_line(double per_s, Duration overhead) {
  std::vector<FitPoint> points;
  for (double work = 1e3; work < 2e9; work *= 1.7) {
    points.push_back({work, overhead + duration_from_seconds(work / per_s)});
  }
  return points;
}

// Times are whole picoseconds, off by 0.5 ps in 3 us at most: 2e-7.
TEST(FitLine, FindsTheLineThatManyPointsLieOn) {
  const LineFit fit = fit_line(points_of_line(5e11, 3us));
  EXPECT_NEAR(seconds(fit.overhead), 3e-6, 3e-6 * 1e-6);
  EXPECT_NEAR(fit.per_s, 5e11, 5e11 * 1e-6);
  EXPECT_LT(fit.residual, 1e-6);
}

// The true line itself has errors of -1/51 and 1/49, so the best has no larger a residual than their
// root mean square; and it has errors of about that size in overhead and rate.
TEST(FitLine, IsNearTheTrueLineUnderNoise) {
  std::vector<FitPoint> points = points_of_line(5e11, 3us);
  ASSERT_EQ(points.size() % 2, 0U);
  for (std::size_t i = 0; i < points.size(); ++i) {
    points[i].time += points[i].time / (i % 2 == 0 ? 50 : -50);
  }
  const LineFit fit = fit_line(points);
  EXPECT_LE(fit.residual, std::sqrt((1.0 / 51 / 51 + 1.0 / 49 / 49) / 2) + 1e-6);
  EXPECT_GT(fit.residual, 0.015);
  EXPECT_NEAR(seconds(fit.overhead), 3e-6, 3e-6 * 0.02);
  EXPECT_NEAR(fit.per_s, 5e11, 5e11 * 0.02);
}

ProfiledOp measured(OpKey key, Flops flops, Bytes traffic, Duration mean) {
  return {.key = std::move(key), .flops = flops, .traffic = traffic, .time = {.mean = mean}};
}

Profile small_profile() {
  const OpKey linear{.op = "linear", .shape = {8, 8, 8}};
  OpKey larger = linear, weight = linear;
  larger.shape = {16, 8, 8};
  weight.pass = Pass::backward_weight;
  weight.accumulate = true;
  Profile profile;
  profile.ops = {measured(linear, {1e6}, 1_MB, 2us), measured(larger, {3e6}, 1_MB, 4us),
                 measured(weight, {1e6}, 1_MB, 1us),
                 measured({.op = "relu", .shape = {8}}, {1}, 2_MB, 1us)};
  profile.copies = {{DeviceId{0}, DeviceId{1}, 4_MB, {.mean = 1us}}};
  return profile;
}

struct Row {
  std::string what, variable, fitted_on;
  std::int64_t points = 0;
  friend bool operator==(const Row&, const Row&) = default;
};

std::vector<Row> rows(const std::vector<LineFit>& fits) {
  std::vector<Row> result;
  for (const LineFit& fit : fits) {
    result.push_back({fit.what, fit.variable, fit.fitted_on, fit.points});
  }
  return result;
}

TEST(FitProfile, FitsEachOpAndAllProductsAllOthersAndAllCopies) {
  const std::vector<Row> expected{
      {"bytes fp32", "bytes", "1 entries of this profile", 1},
      {"copy", "bytes", "1 entries of this profile", 1},
      {"flops fp32", "flops", "3 entries of this profile", 3},
      {"linear.backward_weight fp32 +=", "flops", "1 entries of this profile", 1},
      {"linear.forward fp32", "flops", "2 entries of this profile", 2},
      {"relu.forward fp32", "bytes", "1 entries of this profile", 1}};
  EXPECT_EQ(rows(fit_profile(small_profile())), expected);
}

// linear.forward: the line of GoesThroughTwoPoints. relu: 2 MB in 1 us. copy: 4 MB in 1 us.
TEST(FitProfile, FitsMeansOverFlopsForProductsAndOverBytesForTheRest) {
  const std::vector<LineFit> fits = fit_profile(small_profile());
  ASSERT_EQ(fits.size(), 6U);
  EXPECT_NEAR(fits[1].per_s, 4e12, 10);
  EXPECT_EQ(fits[4].overhead, 1us);
  EXPECT_NEAR(fits[4].per_s, 1e12, 10);
  EXPECT_NEAR(fits[5].per_s, 2e12, 10);
}

TEST(FitProfile, KeepsNumberFormatsApart) {
  Profile profile;
  OpKey key{.op = "matmul", .shape = {8, 8, 8}};
  profile.ops.push_back(measured(key, {1e6}, 1_MB, 1us));
  key.dtype = DType::bf16;
  profile.ops.push_back(measured(key, {1e6}, 1_MB, 1us));
  const std::vector<LineFit> fits = fit_profile(profile);
  ASSERT_EQ(fits.size(), 4U);
  EXPECT_EQ(fits[0].what, "flops bf16");
  EXPECT_EQ(fits[1].what, "flops fp32");
  EXPECT_EQ(fits[2].what, "matmul.forward bf16");
  EXPECT_EQ(fits[3].what, "matmul.forward fp32");
}

TEST(FitProfile, HasNoFitOfWhatHasNoUsablePoint) {
  Profile profile;
  profile.ops = {measured({.op = "linear", .shape = {8}}, {0}, 1_MB, 1us)};
  EXPECT_TRUE(fit_profile(profile).empty());
  EXPECT_TRUE(fit_profile({}).empty());
}

}  // namespace
}  // namespace foreplan
