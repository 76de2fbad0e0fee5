#include "runtime/vector_math.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace foreplan {
namespace {

double below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }

TEST(VectorMath, ExpIsWithinTwoUnitsInTheLastPlace) {
  for (int i = -86999; i <= 87999; ++i) {
    const float x = static_cast<float>(i) * 1e-3F;
    const double exact = std::exp(static_cast<double>(x));
    ASSERT_NEAR(static_cast<double>(vector_exp(x)), exact, 2.4e-7 * exact) << x;
  }
  EXPECT_EQ(vector_exp(0.0F), 1.0F);
  EXPECT_EQ(vector_exp(-1000.0F), vector_exp(-87.0F));
}

// 3 units in the last place of a fraction of 24 bits: 3 * 2^-23 = 3.6e-7 at most.
TEST(VectorMath, SquareRootIsWithinThreeUnitsInTheLastPlace) {
  for (float x = 1.2e-38F; x < 3e38F; x *= 1.001F) {
    const double exact = std::sqrt(static_cast<double>(x));
    ASSERT_NEAR(static_cast<double>(vector_sqrt(x)), exact, 3.6e-7 * exact) << x;
  }
  EXPECT_EQ(vector_sqrt(0.0F), 0.0F);
  EXPECT_LT(vector_sqrt(1e-44F), 1e-19F);  // below normal numbers: small, and a number
}

TEST(VectorMath, NormalIsWithinItsStatedError) {
  for (int i = -8000; i <= 8000; ++i) {
    const float x = static_cast<float>(i) * 1e-3F;
    const Normal normal = vector_normal(x);
    const double exact = below(static_cast<double>(x));
    ASSERT_NEAR(static_cast<double>(normal.below), exact, 3e-7) << x;
    if (x > -5 && x < 0) {
      ASSERT_NEAR(static_cast<double>(normal.below), exact, 2e-6 * exact) << x;
    }
    ASSERT_NEAR(static_cast<double>(normal.density), density(static_cast<double>(x)), 2e-7) << x;
  }
}

}  // namespace
}  // namespace foreplan
