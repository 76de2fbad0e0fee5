#include "runtime/host_kernels.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "runtime/counter_random.hpp"
#include "runtime/operands.hpp"
#include "runtime/vector_math.hpp"
#include "sim/error.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;
using Values = std::vector<float>;
using Exact = std::vector<double>;

/// Runs an op on random operands and keeps everything for the comparison.
struct Trial {
  OpKey key;
  std::vector<Values> reads;
  std::vector<Values> before, after;  ///< of the writes
  StepContext context{.step = 3, .global_batch = 8, .learning_rate = 0.1};

  explicit Trial(OpKey k) : key(std::move(k)) {
    const OperandBytes sizes = operand_bytes(key);
    std::uint64_t stream = 0;
    const auto random = [&](Bytes size) {
      Values values(static_cast<std::size_t>(size.count) / 4);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = random_normal(5, stream, i);
      ++stream;
      return values;
    };
    for (const Bytes size : sizes.reads) reads.push_back(random(size));
    for (const Bytes size : sizes.writes) before.push_back(random(size));
  }

  void run() {
    after = before;
    std::vector<const std::byte*> in;
    std::vector<std::byte*> out;
    for (const Values& v : reads) in.push_back(reinterpret_cast<const std::byte*>(v.data()));
    for (Values& v : after) out.push_back(reinterpret_cast<std::byte*>(v.data()));
    make_host_call({.key = key, .flops = {}, .traffic = {}}, in, out)->run(context);
  }

  double read(std::size_t operand, std::int64_t i) const {
    return static_cast<double>(reads[operand][static_cast<std::size_t>(i)]);
  }
  double old(std::size_t operand, std::int64_t i) const {
    return key.accumulate ? static_cast<double>(before[operand][static_cast<std::size_t>(i)]) : 0.0;
  }

  /// Compares result `w` with `expected(i)`, to `tolerance` of 1 or of the value if larger.
  void expect(std::size_t w, double tolerance,
              const std::function<double(std::int64_t)>& expected) {
    for (std::size_t i = 0; i < after[w].size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const double value = expected(at) + old(w, at);
      ASSERT_NEAR(static_cast<double>(after[w][i]), value,
                  tolerance * std::max(1.0, std::fabs(value)))
          << format(key) << " result " << w << " element " << i;
    }
  }

  void set_labels(std::size_t operand, std::int32_t classes) {
    for (std::size_t i = 0; i < reads[operand].size(); ++i) {
      reads[operand][i] = std::bit_cast<float>(static_cast<std::int32_t>(i * 7) % classes);
    }
  }
  std::int32_t label(std::size_t operand, std::int64_t i) const {
    return std::bit_cast<std::int32_t>(reads[operand][static_cast<std::size_t>(i)]);
  }
};

struct Shape {
  std::int64_t m, k, n;
};
// Odd sizes, one element, thin, beyond a vector and beyond a block of columns.
const std::vector<Shape> kShapes{{1, 1, 1}, {3, 5, 7}, {8, 16, 32}, {17, 33, 10}, {5, 130, 67}};

double dot(std::int64_t n, const std::function<double(std::int64_t)>& term) {
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += term(i);
  return total;
}

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

/// Ops other than products, overwriting and accumulating.
class Loops : public testing::TestWithParam<bool> {
 protected:
  Trial trial(std::string op, Pass pass, std::vector<std::int64_t> shape) const {
    return Trial(
        {.op = std::move(op), .pass = pass, .shape = std::move(shape), .accumulate = GetParam()});
  }
};
INSTANTIATE_TEST_SUITE_P(HostKernels, Loops, testing::Bool());

double below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }

TEST_P(Loops, BiasAddsToEveryRow) {
  for (const Shape& s : kShapes) {
    Trial t = trial("bias_add", Pass::forward, {s.m, s.n});
    t.run();
    t.expect(0, 1e-6, [&](std::int64_t i) { return t.read(0, i) + t.read(1, i % s.n); });
    Trial back = trial("bias_add", Pass::backward_weight, {s.m, s.n});
    back.run();
    back.expect(0, 1e-6, [&](std::int64_t n) {
      return dot(s.m, [&](std::int64_t m) { return back.read(0, m * s.n + n); });
    });
  }
}

TEST_P(Loops, ReluPassesWhatIsPositive) {
  for (const std::int64_t n : {1, 15, 16, 100}) {
    Trial t = trial("relu", Pass::forward, {n});
    t.run();
    t.expect(0, 1e-6, [&](std::int64_t i) { return std::max(t.read(0, i), 0.0); });
    Trial back = trial("relu", Pass::backward_input, {n});
    back.run();
    back.expect(0, 1e-6,
                [&](std::int64_t i) { return back.read(0, i) > 0 ? back.read(1, i) : 0.0; });
  }
}

TEST_P(Loops, GeluIsXTimesTheNormalDistribution) {
  for (const std::int64_t n : {1, 15, 16, 100}) {
    Trial t = trial("gelu", Pass::forward, {n});
    t.run();
    t.expect(0, 1e-6, [&](std::int64_t i) { return t.read(0, i) * below(t.read(0, i)); });
    Trial back = trial("gelu", Pass::backward_input, {n});
    back.run();
    back.expect(0, 1e-6, [&](std::int64_t i) {
      const double x = back.read(0, i);
      return back.read(1, i) * (below(x) + x * density(x));
    });
  }
}

/// Mean and reciprocal deviation of row `row` of operand 0, as layer_norm keeps them.
std::pair<double, double> moments(const Trial& t, std::int64_t row, std::int64_t n) {
  const double mean =
      dot(n, [&](std::int64_t i) { return t.read(0, row * n + i); }) / static_cast<double>(n);
  const double variance =
      dot(n, [&](std::int64_t i) { return std::pow(t.read(0, row * n + i) - mean, 2); }) /
      static_cast<double>(n);
  return {mean, 1 / std::sqrt(variance + 1e-5)};
}

TEST_P(Loops, LayerNormCentresAndScalesRows) {
  for (const Shape& s : {Shape{1, 0, 2}, Shape{3, 0, 17}, Shape{4, 0, 100}}) {
    Trial t = trial("layer_norm", Pass::forward, {s.m, s.n});
    t.run();
    t.expect(0, 1e-5, [&](std::int64_t i) {
      const auto [mean, scale] = moments(t, i / s.n, s.n);
      return (t.read(0, i) - mean) * scale * t.read(1, i % s.n) + t.read(2, i % s.n);
    });
    for (std::int64_t row = 0; row < s.m; ++row) {
      const auto [mean, scale] = moments(t, row, s.n);
      EXPECT_NEAR(t.after[1][static_cast<std::size_t>(row)], mean, 1e-6);
      EXPECT_NEAR(t.after[1][static_cast<std::size_t>(s.m + row)], scale, 1e-5 * scale);
    }
  }
}

void set_statistics(Trial& t, std::int64_t m, std::int64_t n) {
  for (std::int64_t row = 0; row < m; ++row) {
    const auto [mean, scale] = moments(t, row, n);
    t.reads[1][static_cast<std::size_t>(row)] = static_cast<float>(mean);
    t.reads[1][static_cast<std::size_t>(m + row)] = static_cast<float>(scale);
  }
}

TEST_P(Loops, LayerNormBackwardFollowsTheChainRule) {
  const std::int64_t m = 3, n = 70;
  Trial t = trial("layer_norm", Pass::backward_input, {m, n});
  set_statistics(t, m, n);
  t.run();
  t.expect(0, 1e-5, [&](std::int64_t i) {
    const std::int64_t row = i / n;
    const auto [mean, scale] = moments(t, row, n);
    const auto g = [&](std::int64_t j) { return t.read(2, j) * t.read(3, row * n + j); };
    const auto normed = [&, c = mean, f = scale](std::int64_t j) {
      return (t.read(0, row * n + j) - c) * f;
    };
    const double mean_g = dot(n, g) / n;
    const double mean_gx = dot(n, [&](std::int64_t j) { return g(j) * normed(j); }) / n;
    return scale * (g(i % n) - mean_g - normed(i % n) * mean_gx);
  });
  Trial w = trial("layer_norm", Pass::backward_weight, {m, n});
  set_statistics(w, m, n);
  w.run();
  w.expect(0, 1e-5, [&](std::int64_t i) {
    return dot(m, [&](std::int64_t row) {
      const auto [mean, scale] = moments(w, row, n);
      return w.read(2, row * n + i) * (w.read(0, row * n + i) - mean) * scale;
    });
  });
  w.expect(1, 1e-6, [&](std::int64_t i) {
    return dot(m, [&](std::int64_t row) { return w.read(2, row * n + i); });
  });
}

// The slope of sum_i c_i y_i by central differences: (f(x + h) - f(x - h)) / 2h, error about h^2.
TEST(LayerNorm, BackwardEqualsANumericalGradient) {
  const std::int64_t m = 2, n = 9;
  Trial back({.op = "layer_norm", .pass = Pass::backward_input, .shape = {m, n}});
  set_statistics(back, m, n);
  back.run();
  const auto weighed = [&](const Exact& x) {
    double total = 0;
    for (std::int64_t row = 0; row < m; ++row) {
      const auto at = [&](std::int64_t i) { return x[static_cast<std::size_t>(row * n + i)]; };
      const double mean = dot(n, at) / n;
      const double variance = dot(n, [&](std::int64_t i) { return std::pow(at(i) - mean, 2); }) / n;
      total += dot(n, [&](std::int64_t i) {
        return back.read(3, row * n + i) * back.read(2, i) * (at(i) - mean) /
               std::sqrt(variance + 1e-5);
      });
    }
    return total;
  };
  const Exact x(back.reads[0].begin(), back.reads[0].end());
  for (std::size_t i = 0; i < x.size(); ++i) {
    constexpr double kStep = 1e-4;
    Exact up = x, down = x;
    up[i] += kStep;
    down[i] -= kStep;
    EXPECT_NEAR(back.after[0][i], (weighed(up) - weighed(down)) / (2 * kStep), 1e-5);
  }
}

TEST_P(Loops, AddCopyAndAccumulate) {
  for (const std::int64_t n : {1, 17, 64}) {
    Trial add = trial("add", Pass::forward, {n});
    add.run();
    add.expect(0, 1e-6, [&](std::int64_t i) { return add.read(0, i) + add.read(1, i); });
    Trial copy = trial("copy", Pass::forward, {n});
    copy.run();
    copy.expect(0, 1e-6, [&](std::int64_t i) { return copy.read(0, i); });
    // Adds whether the key says so or not.
    Trial more = trial("accumulate", Pass::forward, {n});
    more.run();
    for (std::size_t i = 0; i < more.after[0].size(); ++i) {
      EXPECT_EQ(more.after[0][i], more.before[0][i] + more.reads[0][i]);
    }
  }
}

TEST_P(Loops, GatherColumnsLaysBlocksSideBySide) {
  const std::int64_t m = 5, parts = 3, width = 4, n = parts * width;
  Trial t = trial("gather_columns", Pass::forward, {m, n, parts});
  t.run();
  t.expect(0, 1e-6, [&](std::int64_t i) {
    const std::int64_t row = i / n, part = i % n / width, column = i % width;
    return t.read(0, part * m * width + row * width + column);
  });
  Trial back = trial("gather_columns", Pass::backward_input, {m, n, parts});
  EXPECT_EQ(back.reads[0].size(), static_cast<std::size_t>((m - 1) * n + width));
  back.run();
  back.expect(0, 1e-6, [&](std::int64_t i) { return back.read(0, i / width * n + i % width); });
}

double softmax(const Trial& t, std::int64_t i, std::int64_t n) {
  const std::int64_t row = i / n;
  return std::exp(t.read(0, i)) /
         dot(n, [&](std::int64_t j) { return std::exp(t.read(0, row * n + j)); });
}

TEST(SoftmaxCrossEntropy, ForwardGivesProbabilitiesAndTheLossOfItsRows) {
  for (const Shape& s : {Shape{1, 0, 2}, Shape{6, 0, 10}, Shape{3, 0, 100}}) {
    for (const bool accumulate : {false, true}) {
      Trial t({.op = "softmax_cross_entropy", .shape = {s.m, s.n}, .accumulate = accumulate});
      t.set_labels(1, static_cast<std::int32_t>(s.n));
      t.run();
      for (std::size_t i = 0; i < t.after[0].size(); ++i) {
        EXPECT_NEAR(t.after[0][i], softmax(t, static_cast<std::int64_t>(i), s.n), 1e-6);
      }
      // Over the global batch of 8, whatever the rows here.
      t.expect(1, 1e-6, [&](std::int64_t) {
        return dot(s.m,
                   [&](std::int64_t row) {
                     return -std::log(softmax(t, row * s.n + t.label(1, row), s.n));
                   }) /
               8;
      });
    }
  }
}

// e^1000 overflows; the largest score is taken off first. The likely class has -log 1 = 0, the other
// row is off by 1000: 1000 / 8 (the batch).
TEST(SoftmaxCrossEntropy, SurvivesLargeScores) {
  Trial t({.op = "softmax_cross_entropy", .shape = {2, 2}});
  t.reads[0] = {1000, 0, 1000, 0};
  t.reads[1] = {std::bit_cast<float>(0), std::bit_cast<float>(1)};
  t.run();
  EXPECT_FLOAT_EQ(t.after[1][0], 125.0F);
  EXPECT_FLOAT_EQ(t.after[0][0], 1.0F);
}

TEST_P(Loops, SoftmaxCrossEntropyBackwardIsTheDistanceToTheLabel) {
  Trial t = trial("softmax_cross_entropy", Pass::backward_input, {6, 10});
  t.set_labels(1, 10);
  t.run();
  t.expect(0, 1e-6, [&](std::int64_t i) {
    return (t.read(0, i) - (i % 10 == t.label(1, i / 10) ? 1.0 : 0.0)) / 8;
  });
}

TEST(SoftmaxCrossEntropy, RefusesALabelBeyondTheClasses) {
  Trial t({.op = "softmax_cross_entropy", .shape = {2, 3}});
  t.reads[1] = {std::bit_cast<float>(0), std::bit_cast<float>(3)};
  try {
    t.run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    EXPECT_STREQ(error.what(), "sample 1: expected a label in 0..2, got 3");
  }
}

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

std::string refusal(OpKey key, std::size_t reads, std::size_t writes) {
  const Op op{.key = std::move(key), .flops = {}, .traffic = {}};
  return rejection([&] {
    make_host_call(op, std::vector<const std::byte*>(reads), std::vector<std::byte*>(writes));
  });
}

TEST(MakeHostCall, RefusesWhatIsNotInTheTable) {
  EXPECT_THAT(refusal({.op = "convolve", .shape = {1}}, 1, 1), HasSubstr("no kernel"));
  EXPECT_THAT(refusal({.op = "add", .pass = Pass::optimizer, .shape = {1}}, 2, 1),
              HasSubstr("no kernel"));
  EXPECT_THAT(refusal({.op = "relu", .shape = {4}, .dtype = DType::bf16}, 1, 1),
              HasSubstr("fp32 only"));
  EXPECT_THAT(refusal({.op = "relu", .shape = {4, 4}}, 1, 1),
              HasSubstr("expected a shape of 1 numbers, got 2"));
  EXPECT_THAT(refusal({.op = "relu", .shape = {0}}, 1, 1), HasSubstr("positive"));
  EXPECT_THAT(refusal({.op = "linear", .shape = {1 << 30, 1 << 30, 1 << 30}}, 3, 1),
              HasSubstr("more than 2^50"));
  EXPECT_THAT(refusal({.op = "gather_columns", .shape = {2, 10, 3}}, 1, 1),
              HasSubstr("10 columns do not divide into 3 parts"));
  EXPECT_THAT(refusal({.op = "relu", .shape = {4}}, 2, 1),
              HasSubstr("expected 1 reads and 1 writes, got 2 and 1"));
}

}  // namespace
}  // namespace foreplan
