#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"
#include "tests/runtime/kernel_trial.hpp"

namespace foreplan {
namespace {

using Exact = std::vector<double>;

class RowLoops : public Loops {};
INSTANTIATE_TEST_SUITE_P(HostKernels, RowLoops, testing::Bool());

/// Mean and reciprocal deviation of row `row` of operand 0, as layer_norm keeps them.
std::pair<double, double> moments(const Trial& t, std::int64_t row, std::int64_t n) {
  const double mean =
      dot(n, [&](std::int64_t i) { return t.read(0, row * n + i); }) / static_cast<double>(n);
  const double variance =
      dot(n, [&](std::int64_t i) { return std::pow(t.read(0, row * n + i) - mean, 2); }) /
      static_cast<double>(n);
  return {mean, 1 / std::sqrt(variance + 1e-5)};
}

TEST_P(RowLoops, LayerNormCentresAndScalesRows) {
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

TEST_P(RowLoops, LayerNormBackwardFollowsTheChainRule) {
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

double softmax(const Trial& t, std::int64_t i, std::int64_t n) {
  const std::int64_t row = i / n;
  return std::exp(t.read(0, i)) /
         dot(n, [&](std::int64_t j) { return std::exp(t.read(0, row * n + j)); });
}

double rms_scale(const Trial& t, std::int64_t row, std::int64_t n) {
  const auto square = [&](std::int64_t i) { return std::pow(t.read(0, row * n + i), 2); };
  return 1 / std::sqrt(dot(n, square) / static_cast<double>(n) + 1e-5);
}

TEST_P(RowLoops, RmsNormScalesRowsAndItsBackwardFollowsTheChainRule) {
  const std::int64_t m = 3, n = 70;
  Trial t = trial("rms_norm", Pass::forward, {m, n});
  t.run();
  t.expect(0, 1e-5, [&](std::int64_t i) {
    return t.read(0, i) * rms_scale(t, i / n, n) * t.read(1, i % n);
  });
  Trial back = trial("rms_norm", Pass::backward_input, {m, n});
  Trial weight = trial("rms_norm", Pass::backward_weight, {m, n});
  for (std::int64_t row = 0; row < m; ++row) {
    const auto at = static_cast<std::size_t>(row);
    EXPECT_NEAR(t.after[1][at], rms_scale(t, row, n), 1e-5);
    back.reads[1][at] = static_cast<float>(rms_scale(back, row, n));
    weight.reads[1][at] = static_cast<float>(rms_scale(weight, row, n));
  }
  back.run();
  // y_j = x_j s g_j, ds / dx_i = -s^3 x_i / n: dx_i = s g_i dy_i - s^3 x_i / n sum_j x_j g_j dy_j.
  back.expect(0, 1e-5, [&](std::int64_t i) {
    const std::int64_t row = i / n;
    const double s = rms_scale(back, row, n);
    const double total = dot(n, [&](std::int64_t j) {
      return back.read(0, row * n + j) * back.read(2, j) * back.read(3, row * n + j);
    });
    return s * back.read(2, i % n) * back.read(3, i) -
           s * s * s * back.read(0, i) / static_cast<double>(n) * total;
  });
  weight.run();
  weight.expect(0, 1e-5, [&](std::int64_t i) {
    return dot(m, [&](std::int64_t row) {
      return weight.read(2, row * n + i) * weight.read(0, row * n + i) * rms_scale(weight, row, n);
    });
  });
}

TEST_P(RowLoops, SoftmaxAndItsBackward) {
  const std::int64_t m = 3, n = 33;
  Trial t = trial("softmax", Pass::forward, {m, n});
  t.run();
  t.expect(0, 1e-6, [&](std::int64_t i) { return softmax(t, i, n); });
  Trial back = trial("softmax", Pass::backward_input, {m, n});
  back.run();
  // dy_i/dx_j = y_i (i == j) - y_i y_j.
  back.expect(0, 1e-5, [&](std::int64_t i) {
    const std::int64_t row = i / n;
    const double total =
        dot(n, [&](std::int64_t j) { return back.read(0, row * n + j) * back.read(1, row * n + j); });
    return back.read(0, i) * (back.read(1, i) - total);
  });
}

// Tokens 0, 7, 14, ... modulo 5: some rows of the table occur twice, some never.
TEST_P(RowLoops, EmbeddingLooksUpRowsAndAddsTheirGradients) {
  const std::int64_t m = 4, vocabulary = 5, n = 19;
  Trial t = trial("embedding", Pass::forward, {m, vocabulary, n});
  t.set_labels(0, 3);
  t.run();
  t.expect(0, 1e-6, [&](std::int64_t i) { return t.read(1, t.label(0, i / n) * n + i % n); });
  Trial back = trial("embedding", Pass::backward_weight, {m, vocabulary, n});
  back.set_labels(0, 3);
  back.run();
  back.expect(0, 1e-6, [&](std::int64_t i) {
    return dot(m, [&](std::int64_t token) {
      return back.label(0, token) == i / n ? back.read(1, token * n + i % n) : 0.0;
    });
  });
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

TEST_P(RowLoops, SoftmaxCrossEntropyBackwardIsTheDistanceToTheLabel) {
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

}  // namespace
}  // namespace foreplan
