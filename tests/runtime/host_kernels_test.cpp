#include "runtime/host_kernels.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"
#include "tests/runtime/kernel_trial.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;

class ElementLoops : public Loops {};
INSTANTIATE_TEST_SUITE_P(HostKernels, ElementLoops, testing::Bool());

double below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }

TEST_P(ElementLoops, BiasAddsToEveryRow) {
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

TEST_P(ElementLoops, ReluPassesWhatIsPositive) {
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

TEST_P(ElementLoops, GeluIsXTimesTheNormalDistribution) {
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

TEST_P(ElementLoops, AddCopyAndAccumulate) {
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

TEST_P(ElementLoops, GatherColumnsLaysBlocksSideBySide) {
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
              HasSubstr("host kernels take fp32 only"));
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
