#include "models/kernel_features.hpp"

#include <gtest/gtest.h>

#include "models/op_cost.hpp"

namespace foreplan {
namespace {

using enum Pass;

/// 100 numbers, by element or as 10 rows of 10, in bf16: e = 2 bytes.
Op op_of(const char* name, Pass pass, std::vector<std::int64_t> shape = {100}) {
  return make_op({.op = name, .pass = pass, .shape = std::move(shape), .dtype = DType::bf16});
}

Op executed(const KernelFeatures& features, Op op) {
  execute_as(features, op);
  return op;
}

void expect_work(const Op& op, std::int64_t bytes, double kernels) {
  EXPECT_EQ(op.traffic, Bytes{bytes}) << format(op.key);
  EXPECT_EQ(op.launches, kernels) << format(op.key);
}

TEST(ExecuteAs, LeavesOpsAsTheyAreWhereAllIsFused) {
  for (const Op& op : {op_of("rms_norm", forward, {10, 10}), op_of("rotary", forward),
                       op_of("gated_silu", backward_input), op_of("gelu", forward),
                       op_of("softmax_cross_entropy", forward, {10, 10}), op_of("adam", optimizer),
                       op_of("linear", forward, {3, 5, 7})}) {
    const Op after = executed({}, op);
    EXPECT_EQ(after.traffic, op.traffic) << format(op.key);
    EXPECT_EQ(after.launches, 1) << format(op.key);
    EXPECT_EQ(after.executed, 1) << format(op.key);
  }
}

// Forward: to fp32 e + 4, square 4 + 4, mean 4, times 4 + 4, back 4 + e, times gain e + e: 24 + 4 e a number with
// e = 2, 32. Backward of the input 48 + 4 e, 56; of the gain 3 e, 6.
TEST(ExecuteAs, UnfusesRmsNorms) {
  const KernelFeatures eager{.fused_norms = false};
  expect_work(executed(eager, op_of("rms_norm", forward, {10, 10})), 3200, 7);
  expect_work(executed(eager, op_of("rms_norm", backward_input, {10, 10})), 5600, 9);
  expect_work(executed(eager, op_of("rms_norm", backward_weight, {10, 10})), 600, 2);
  // PyTorch's own layer norm is one kernel anyway.
  const Op norm = op_of("layer_norm", forward, {10, 10});
  expect_work(executed(eager, norm), norm.traffic.count, 1);
}

// Minus e + e on half of the numbers and a concatenation of e + e, two products 2 e + e, a sum 2 e + e; of the
// halves what is left: 10 e.
TEST(ExecuteAs, UnfusesRotations) {
  const KernelFeatures eager{.fused_rotary = false};
  expect_work(executed(eager, op_of("rotary", forward)), 2000, 5);
  expect_work(executed(eager, op_of("rotary", backward_input)), 2000, 5);
}

// Forward: act e + e, product 2 e + e. Backward: two products, 2 e + e each, act' 2 e + e.
TEST(ExecuteAs, UnfusesGates) {
  const KernelFeatures eager{.fused_elementwise = false};
  expect_work(executed(eager, op_of("gated_silu", forward)), 1000, 2);
  expect_work(executed(eager, op_of("gated_gelu", backward_input)), 1800, 3);
}

// Forward: to fp32 e + 4, log of softmax 4 + 4. Backward: 20 + e.
TEST(ExecuteAs, UnfusesTheLoss) {
  const KernelFeatures eager{.fused_loss = false};
  expect_work(executed(eager, op_of("softmax_cross_entropy", forward, {10, 10})), 1400, 3);
  expect_work(executed(eager, op_of("softmax_cross_entropy", backward_input, {10, 10})), 2200, 3);
}

// Adam moves three numbers of 2 bytes and four of 4, 22 a parameter; 2.5 times that. The norm is one kernel.
TEST(ExecuteAs, UnfusesTheOptimizer) {
  const KernelFeatures eager{.fused_optimizer = false};
  expect_work(executed(eager, op_of("adam", optimizer)), 2200 * 5 / 2, 8);
  expect_work(executed(eager, op_of("square_sum", optimizer)), 400, 1);
}

// A mask of a byte stays of a dropout that what adds behind it does; on its own 2 + 2 + 1.
TEST(ExecuteAs, FusesDropoutsWithWhatAddsBehindThem) {
  expect_work(executed({}, op_of("dropout", forward)), 100, 0);
  expect_work(executed({}, op_of("dropout", backward_input)), 100, 0);
  expect_work(executed({.fused_elementwise = false}, op_of("dropout", forward)), 500, 1);
}

// No kernel moves less than its operands: rows of 2 numbers have as many statistics as numbers.
TEST(ExecuteAs, NeverMovesLessThanTheOpItself) {
  const KernelFeatures eager{.fused_elementwise = false,
                             .fused_norms = false,
                             .fused_rotary = false,
                             .fused_loss = false,
                             .fused_optimizer = false};
  for (const Op& op : {op_of("rms_norm", backward_weight, {100, 1}), op_of("rotary", forward),
                       op_of("gated_silu", forward), op_of("dropout", forward),
                       op_of("softmax_cross_entropy", forward, {100, 1})}) {
    EXPECT_GE(executed(eager, op).traffic, op.traffic) << format(op.key);
  }
}

// Of 512 keys a tile of 128 queries looks at (1 + 128 / 512) / 2 = 5/8; of 128 or fewer at all.
TEST(ExecuteAs, SkipsMaskedTilesOfCausalAttention) {
  const auto seen = [](const char* name, std::int64_t keys, KernelFeatures features = {}) {
    return executed(features, op_of(name, forward, {1, 1, 1, keys, keys, keys, 64, 64})).executed;
  };
  EXPECT_EQ(seen("causal_attention", 512), 0.625);
  EXPECT_EQ(seen("causal_attention", 128), 1);
  EXPECT_EQ(seen("causal_attention", 64), 1);
  EXPECT_EQ(seen("attention", 512), 1);
  EXPECT_EQ(seen("causal_attention", 512, {.skip_masked = false}), 1);
  EXPECT_NEAR(seen("causal_attention", 1 << 20), 0.5, 1e-3);
}

TEST(ExecuteAs, TellsAttentionTheAgeOfItsKernels) {
  const std::vector<std::int64_t> shape{1, 1, 1, 8, 8, 8, 64, 64};
  EXPECT_EQ(
      executed({.flash_attention = 1}, op_of("attention", forward, shape)).attention_generation, 1);
  EXPECT_EQ(executed({.flash_attention = 1}, op_of("gelu", forward)).attention_generation, 0);
}

// A product for each of four experts, or one for all.
TEST(ExecuteAs, LaunchesProductsOfExpertsOneByOne) {
  const Op product = op_of("expert_linear", forward, {4, 12, 5, 7});
  EXPECT_EQ(executed({}, product).launches, 4);
  EXPECT_EQ(executed({.fused_experts = true}, product).launches, 1);
  EXPECT_EQ(executed({}, op_of("top_k", forward, {10, 4, 2})).launches, 20);
  EXPECT_EQ(executed({}, op_of("dispatch", forward, {10, 2, 4})).launches, 10);
  EXPECT_EQ(executed({}, op_of("combine", backward_input, {10, 2, 4})).launches, 10);
}

}  // namespace
}  // namespace foreplan
