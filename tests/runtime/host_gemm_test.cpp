#include "runtime/host_gemm.hpp"

#include <gtest/gtest.h>

#include <tuple>

#include "tests/runtime/kernel_trial.hpp"

namespace foreplan {
namespace {

// A sum of 130 products of about 1 walks about sqrt(130) = 11 away, where half a unit in the last
// place is 5e-7; 130 such roundings, at random, make 6e-6, three times that is rare.
constexpr double kProductTolerance = 2e-5;

class Products : public testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  bool linear() const { return std::get<0>(GetParam()) == "linear"; }
  Trial trial(Pass pass, const Shape& s) const {
    Trial t({.op = std::get<0>(GetParam()),
             .pass = pass,
             .shape = {s.m, s.k, s.n},
             .accumulate = std::get<1>(GetParam())});
    t.run();
    return t;
  }
};

TEST_P(Products, ForwardIsXTimesWPlusBias) {
  for (const Shape& s : kShapes) {
    Trial t = trial(Pass::forward, s);
    t.expect(0, kProductTolerance, [&](std::int64_t i) {
      const std::int64_t row = i / s.n, column = i % s.n;
      const double bias = linear() ? t.read(2, column) : 0.0;
      return bias + dot(s.k, [&](std::int64_t k) {
               return t.read(0, row * s.k + k) * t.read(1, k * s.n + column);
             });
    });
  }
}

TEST_P(Products, BackwardInputIsDyTimesWTransposed) {
  for (const Shape& s : kShapes) {
    Trial t = trial(Pass::backward_input, s);
    t.expect(0, kProductTolerance, [&](std::int64_t i) {
      const std::int64_t row = i / s.k, k = i % s.k;
      return dot(s.n,
                 [&](std::int64_t n) { return t.read(0, row * s.n + n) * t.read(1, k * s.n + n); });
    });
  }
}

TEST_P(Products, BackwardWeightIsXTransposedTimesDy) {
  for (const Shape& s : kShapes) {
    Trial t = trial(Pass::backward_weight, s);
    t.expect(0, kProductTolerance, [&](std::int64_t i) {
      const std::int64_t k = i / s.n, n = i % s.n;
      return dot(s.m,
                 [&](std::int64_t m) { return t.read(0, m * s.k + k) * t.read(1, m * s.n + n); });
    });
    if (!linear()) continue;
    t.expect(1, 1e-6, [&](std::int64_t n) {
      return dot(s.m, [&](std::int64_t m) { return t.read(1, m * s.n + n); });
    });
  }
}

// Whole numbers below 2^24 have no rounding, in whatever order they are added.
TEST_P(Products, AreExactForWholeNumbers) {
  const Shape s{17, 130, 67};
  Trial t({.op = std::get<0>(GetParam()),
           .shape = {s.m, s.k, s.n},
           .accumulate = std::get<1>(GetParam())});
  for (auto* operands : {&t.reads, &t.before}) {
    for (Values& values : *operands) {
      for (float& v : values) v = std::round(3 * v);
    }
  }
  t.run();
  t.expect(0, 0.0, [&](std::int64_t i) {
    const std::int64_t row = i / s.n, column = i % s.n;
    const double bias = linear() ? t.read(2, column) : 0.0;
    return bias + dot(s.k, [&](std::int64_t k) {
             return t.read(0, row * s.k + k) * t.read(1, k * s.n + column);
           });
  });
}

TEST_P(Products, GiveTheSameBitsAgain) {
  const Shape s{17, 130, 67};
  for (const Pass pass : {Pass::forward, Pass::backward_input, Pass::backward_weight}) {
    Trial t = trial(pass, s);
    const std::vector<Values> first = t.after;
    t.run();
    EXPECT_EQ(t.after, first);
  }
}

INSTANTIATE_TEST_SUITE_P(HostKernels, Products,
                         testing::Combine(testing::Values("linear", "matmul"), testing::Bool()));

}  // namespace
}  // namespace foreplan
