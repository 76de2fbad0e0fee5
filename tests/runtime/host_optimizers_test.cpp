#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/kernel_trial.hpp"

namespace foreplan {
namespace {

TEST(Sgd, KeepsMomentum) {
  Trial t({.op = "sgd", .pass = Pass::optimizer, .shape = {37}});
  t.run();
  for (std::size_t i = 0; i < 37; ++i) {
    const double v = 0.9 * static_cast<double>(t.before[1][i]) + t.read(0, static_cast<int>(i));
    EXPECT_NEAR(t.after[1][i], v, 1e-6);
    EXPECT_NEAR(t.after[0][i], static_cast<double>(t.before[0][i]) - 0.1 * v, 1e-6);
  }
}

TEST(Adam, CorrectsTheBiasOfItsMoments) {
  Trial t({.op = "adam", .pass = Pass::optimizer, .shape = {37}});
  for (float& v : t.before[2]) v = v * v;  // a second moment is not negative
  t.run();
  for (std::size_t i = 0; i < 37; ++i) {
    const double g = t.read(0, static_cast<int>(i));
    const double m = 0.9 * static_cast<double>(t.before[1][i]) + 0.1 * g;
    const double v = 0.999 * static_cast<double>(t.before[2][i]) + 0.001 * g * g;
    const double move =
        0.1 * (m / (1 - std::pow(0.9, 3))) / (std::sqrt(v / (1 - std::pow(0.999, 3))) + 1e-8);
    EXPECT_NEAR(t.after[1][i], m, 1e-6);
    EXPECT_NEAR(t.after[2][i], v, 1e-6);
    const double expected = static_cast<double>(t.before[0][i]) - move;
    EXPECT_NEAR(t.after[0][i], expected, 1e-5 * std::max(1.0, std::fabs(move)));
  }
}

}  // namespace
}  // namespace foreplan
