#include "tools/robust_fit.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// y = 3 + 0.5 x at x = 1 ... 20, the last `wrong` of them five times as large.
Residuals line(int wrong = 0) {
  return [wrong](const std::vector<double>& c) {
    std::vector<double> residuals;
    for (int x = 1; x <= 20; ++x) {
      const double measured = (3 + 0.5 * x) * (x > 20 - wrong ? 5 : 1);
      residuals.push_back(std::log((c[0] + c[1] * x) / measured));
    }
    return residuals;
  };
}

std::vector<FittedConstant> unknowns() {
  return {{.name = "at zero", .start = 1, .spread = 2, .least = 0.05, .most = 20},
          {.name = "slope", .start = 1, .spread = 2, .least = 0.05, .most = 20}};
}

const std::vector<double> kEqual(20, 1.0);

// Two unknowns, twenty exact points: what is known beforehand weighs 0.01 (log(3) / 2)^2 against them.
TEST(RobustFit, FindsTheConstantsThatMadeTheData) {
  const RobustFit fit = robust_fit(unknowns(), line(), kEqual);
  EXPECT_NEAR(fit.constants[0], 3, 0.03);
  EXPECT_NEAR(fit.constants[1], 0.5, 0.005);
  EXPECT_LT(fit.rms, 0.005);
  EXPECT_EQ(fit.residuals.size(), 20u);
}

// Without anything known beforehand it is exact.
TEST(RobustFit, IsExactWhereNothingIsKnownBeforehand) {
  const RobustFit fit = robust_fit(unknowns(), line(), kEqual, 0.1, 0);
  EXPECT_NEAR(fit.constants[0], 3, 1e-3);
  EXPECT_NEAR(fit.constants[1], 0.5, 1e-3);
}

// Squares alone would move the middle of the data by log(5) 2 / 20 = 16 %; beyond the knee of 0.1 a residual pulls
// as one of 0.1 does.
TEST(RobustFit, IsMovedLittleByOutliers) {
  const auto middle = [](const RobustFit& fit) { return fit.constants[0] + 10 * fit.constants[1]; };
  const RobustFit robust = robust_fit(unknowns(), line(2), kEqual);
  EXPECT_NEAR(middle(robust), 8, 0.02 * 8);
  const RobustFit squares = robust_fit(unknowns(), line(2), kEqual, 1e6);
  EXPECT_GT(middle(squares), 1.08 * 8);
}

// A row that weighs nothing is not there.
TEST(RobustFit, WeighsResiduals) {
  std::vector<double> weights = kEqual;
  weights[18] = weights[19] = 0;
  const RobustFit fit = robust_fit(unknowns(), line(2), weights, 1e6);
  EXPECT_NEAR(fit.constants[0], 3, 0.05);
  EXPECT_NEAR(fit.constants[1], 0.5, 0.01);
}

TEST(RobustFit, StaysWithinBounds) {
  std::vector<FittedConstant> bounded = unknowns();
  bounded[1].most = bounded[1].start = 0.25;
  const RobustFit fit = robust_fit(bounded, line(), kEqual);
  EXPECT_NEAR(fit.constants[1], 0.25, 1e-12);
  EXPECT_GT(fit.constants[0], 3);
}

// Nothing depends on the second constant: it stays where it is likeliest.
TEST(RobustFit, LeavesAloneWhatNoRowTells) {
  const Residuals flat = [](const std::vector<double>& c) {
    return std::vector<double>{std::log(c[0] / 4)};
  };
  const RobustFit fit = robust_fit(unknowns(), flat, {1.0});
  EXPECT_NEAR(fit.constants[0], 4, 0.05);
  EXPECT_NEAR(fit.constants[1], 1, 1e-9);
}

TEST(RobustFit, RejectsStartsOutOfBoundsAndNoData) {
  for (const FittedConstant& wrong : std::vector<FittedConstant>{
           {.name = "c", .start = 0.1, .spread = 1, .least = 0.2, .most = 1},
           {.name = "c", .start = 2, .spread = 1, .least = 0.2, .most = 1},
           {.name = "c", .start = 1, .spread = 0, .least = 0.2, .most = 1},
           {.name = "c", .start = 1, .spread = 1, .least = 0, .most = 1}}) {
    EXPECT_THROW(robust_fit({wrong}, line(), kEqual), Error);
  }
  const Residuals none = [](const std::vector<double>&) { return std::vector<double>{}; };
  EXPECT_THROW(robust_fit(unknowns(), none, {}), Error);
}

}  // namespace
}  // namespace foreplan
