#include "models/op_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string op;
  Pass pass;
  std::vector<std::int64_t> shape;
  double flops;
  std::int64_t traffic;
};

Op fp32(const std::string& op, Pass pass, std::vector<std::int64_t> shape,
        bool accumulate = false) {
  return make_op({.op = op, .pass = pass, .shape = std::move(shape), .accumulate = accumulate});
}

std::string complaint(const OpKey& key) {
  try {
    make_op(key);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

// m = 2, k = 3, n = 5: x 6, W 15, b 5, y 10 numbers, 2 m k n = 60.
TEST(MakeOp, CountsLinearAndMatmulByHand) {
  const Case cases[] = {
      // 60 + 10 for the bias; x, W, b, y: 36 numbers.
      {"linear", Pass::forward, {2, 3, 5}, 70, 36 * 4},
      // dy 10, W 15, dx 6: 31.
      {"linear", Pass::backward_input, {2, 3, 5}, 60, 31 * 4},
      // 60 + 10 to sum the rows of dy; x 6, dy 10, dW 15, db 5: 36.
      {"linear", Pass::backward_weight, {2, 3, 5}, 70, 36 * 4},
      // The same without b and db.
      {"matmul", Pass::forward, {2, 3, 5}, 60, 31 * 4},
      {"matmul", Pass::backward_input, {2, 3, 5}, 60, 31 * 4},
      {"matmul", Pass::backward_weight, {2, 3, 5}, 60, 31 * 4},
  };
  for (const Case& c : cases) {
    const Op op = fp32(c.op, c.pass, c.shape);
    EXPECT_EQ(op.flops.count, c.flops) << format(op.key);
    EXPECT_EQ(op.traffic.count, c.traffic) << format(op.key);
  }
}

// m = 2 rows of n = 6; a vocabulary of 5: 12 elements, 2 scales, 2 ids, a table of 30.
TEST(MakeOp, CountsWhatTransformersAddByHand) {
  const Case cases[] = {
      {"rms_norm", Pass::forward, {2, 6}, 48, (12 + 6 + 12 + 2) * 4},
      {"rms_norm", Pass::backward_input, {2, 6}, 96, (12 + 2 + 6 + 12 + 12) * 4},
      {"rms_norm", Pass::backward_weight, {2, 6}, 36, (12 + 2 + 12 + 6) * 4},
      {"softmax", Pass::forward, {2, 6}, 60, 24 * 4},
      {"softmax", Pass::backward_input, {2, 6}, 48, 36 * 4},
      // Of the table the two rows that occur.
      {"embedding", Pass::forward, {2, 5, 6}, 0, (2 + 12 + 12) * 4},
      {"embedding", Pass::backward_weight, {2, 5, 6}, 12, (2 + 12 + 30) * 4},
  };
  for (const Case& c : cases) {
    const Op op = fp32(c.op, c.pass, c.shape);
    EXPECT_EQ(op.flops.count, c.flops) << format(op.key);
    EXPECT_EQ(op.traffic.count, c.traffic) << format(op.key);
  }
}

// Gradient and parameter shrink with the dtype, moments stay fp32: 2 + 2 + 2 bytes and 4 times 4.
TEST(MakeOp, KeepsMomentsInFp32) {
  const Op adam =
      make_op({.op = "adam", .pass = Pass::optimizer, .shape = {10}, .dtype = DType::bf16});
  EXPECT_EQ(adam.traffic, Bytes{10 * (3 * 2 + 4 * 4)});
}

// n = 6, or m = 2 and n = 6 (12 elements, 2 rows).
TEST(MakeOp, CountsTheOtherOpsByHand) {
  const Case cases[] = {
      {"bias_add", Pass::forward, {2, 6}, 12, (12 + 6 + 12) * 4},
      {"bias_add", Pass::backward_weight, {2, 6}, 12, (12 + 6) * 4},
      {"relu", Pass::forward, {6}, 6, (6 + 6) * 4},
      {"relu", Pass::backward_input, {6}, 6, (6 + 6 + 6) * 4},
      // Scale, erf, plus 1, half, times x.
      {"gelu", Pass::forward, {6}, 30, (6 + 6) * 4},
      // The four of Phi; square, scale, exp, scale; times x, plus, times dy: 11.
      {"gelu", Pass::backward_input, {6}, 66, (6 + 6 + 6) * 4},
      // x, gain, shift in; y and two statistics a row out.
      {"layer_norm", Pass::forward, {2, 6}, 84, (12 + 6 + 6 + 12 + 4) * 4},
      {"layer_norm", Pass::backward_input, {2, 6}, 120, (12 + 4 + 6 + 12 + 12) * 4},
      {"layer_norm", Pass::backward_weight, {2, 6}, 60, (12 + 4 + 12 + 6 + 6) * 4},
      {"add", Pass::forward, {6}, 6, (6 + 6 + 6) * 4},
      {"accumulate", Pass::forward, {6}, 6, (6 + 6 + 6) * 4},
      {"copy", Pass::forward, {6}, 0, (6 + 6) * 4},
      {"gather_columns", Pass::forward, {2, 6, 3}, 0, (12 + 12) * 4},
      // One part of three: 4 elements in, 4 out.
      {"gather_columns", Pass::backward_input, {2, 6, 3}, 0, (4 + 4) * 4},
      // Logits and labels in, probabilities and the loss out.
      {"softmax_cross_entropy", Pass::forward, {2, 6}, 60, (12 + 12 + 1) * 4 + 2 * 4},
      {"softmax_cross_entropy", Pass::backward_input, {2, 6}, 24, (12 + 12) * 4 + 2 * 4},
      // Gradient, parameter, momentum in; parameter, momentum out.
      {"sgd", Pass::optimizer, {6}, 24, (18 + 12) * 4},
      {"adam", Pass::optimizer, {6}, 84, (24 + 18) * 4},
  };
  for (const Case& c : cases) {
    const Op op = fp32(c.op, c.pass, c.shape);
    EXPECT_EQ(op.flops.count, c.flops) << format(op.key);
    EXPECT_EQ(op.traffic.count, c.traffic) << format(op.key);
  }
}

// dW and db of the case above are 20 numbers, read once more. Sums start from the old value.
TEST(MakeOp, ReadsTheResultOnceMoreWhenItAccumulates) {
  const Op sum = fp32("linear", Pass::backward_weight, {2, 3, 5}, true);
  EXPECT_EQ(sum.traffic, Bytes{(36 + 20) * 4});
  EXPECT_EQ(sum.flops.count, 70);
  EXPECT_TRUE(sum.key.accumulate);
  const Op each = fp32("relu", Pass::backward_input, {6}, true);
  EXPECT_EQ(each.traffic, Bytes{(18 + 6) * 4});
  EXPECT_EQ(each.flops.count, 12);
}

TEST(MakeOp, CountsAccumulateOnceWhateverItsFlag) {
  const Op op = fp32("accumulate", Pass::forward, {6}, true);
  EXPECT_EQ(op.traffic, fp32("accumulate", Pass::forward, {6}).traffic);
  EXPECT_EQ(op.flops, fp32("accumulate", Pass::forward, {6}).flops);
}

// Two bytes an element; labels stay at four: (12 + 12 + 1) * 2 + 2 * 4 = 58.
TEST(MakeOp, ScalesTrafficWithTheElementButNotTheLabels) {
  const Op op = make_op({.op = "softmax_cross_entropy", .shape = {2, 6}, .dtype = DType::bf16});
  EXPECT_EQ(op.traffic, 58_B);
  EXPECT_EQ(op.flops.count, 60);
}

// x 6 and W 15 of one byte, y 10 of two; what goes back likewise: dy 10 and W 15, dx 6.
TEST(MakeOp, WritesProductsOfFp8In16Bits) {
  const auto traffic = [](Pass pass) {
    return make_op({.op = "matmul", .pass = pass, .shape = {2, 3, 5}, .dtype = DType::fp8}).traffic;
  };
  EXPECT_EQ(traffic(Pass::forward), 41_B);
  EXPECT_EQ(traffic(Pass::backward_input), 37_B);
}

// 6 numbers of bf16, 12 bytes, make 6 along rows and 6 along columns of one byte.
TEST(MakeOp, CastsToTwoCopiesInFp8) {
  const Op op = make_op({.op = "cast", .shape = {6}, .dtype = DType::bf16});
  EXPECT_EQ(op.traffic, 24_B);
  EXPECT_EQ(op.flops.count, 12);
}

// A matrix product of 2^20 in each direction: 2^61 multiply-adds and 2^40 biases, which 64-bit
// integers of bytes hold (4 * (3 * 2^40 + 2^20)).
TEST(MakeOp, HoldsLargeShapes) {
  const std::int64_t side = 1 << 20;
  const Op op = fp32("linear", Pass::forward, {side, side, side});
  EXPECT_EQ(op.flops.count, 0x1p61 + 0x1p40);
  EXPECT_EQ(op.traffic.count, 4 * (3 * side * side + side));
}

// Cutting a batch in two halves the arithmetic and nothing else: weights are read twice.
TEST(MakeOp, CostsHalvesOfABatchTogetherMoreTrafficButEqualFlops) {
  const Op whole = fp32("linear", Pass::forward, {64, 32, 16});
  const Op half = fp32("linear", Pass::forward, {32, 32, 16});
  EXPECT_EQ(whole.flops.count, 2 * half.flops.count);
  EXPECT_EQ((half.traffic * 2 - whole.traffic).count, (32 * 16 + 16) * 4);
}

TEST(MakeOp, RejectsWhatTheTableDoesNotHave) {
  EXPECT_EQ(complaint({.op = "conv", .shape = {1}}), "unknown op 'conv'");
  EXPECT_EQ(complaint({.op = "relu", .pass = Pass::backward_weight, .shape = {1}}),
            "op relu has no pass backward_weight");
  EXPECT_EQ(complaint({.op = "sgd", .pass = Pass::optimizer, .shape = {4}, .accumulate = true}),
            "op sgd.optimizer does not accumulate");
}

TEST(MakeOp, RejectsShapesThatDoNotFit) {
  EXPECT_EQ(complaint({.op = "linear", .shape = {2, 3}}),
            "op linear.forward: expected a shape [m, k, n], got [2, 3]");
  EXPECT_EQ(complaint({.op = "relu", .shape = {}}),
            "op relu.forward: expected a shape [n], got []");
  EXPECT_EQ(complaint({.op = "linear", .shape = {2, 0, 3}}),
            "op linear.forward: expected positive entries in the shape [m, k, n], got [2, 0, 3]");
  EXPECT_EQ(complaint({.op = "gather_columns", .shape = {2, 6, 4}}),
            "op gather_columns: 6 columns do not divide into 4 parts");
  const std::int64_t huge = std::int64_t{1} << 40;
  EXPECT_THAT(complaint({.op = "add", .shape = {huge << 13}}), HasSubstr("too large to count"));
  EXPECT_THAT(complaint({.op = "linear", .shape = {huge, huge, huge}}), HasSubstr("too large"));
}

// 2 samples, 2 heads of 2 key heads, 3 queries, 5 keys all seen, d = 4, v = 6: scores 2*2*3*5 = 60;
// products 2*60*(4+6) = 1200; q 2*2*3*4 = 48, k 2*2*5*4 = 80, v 120, y 2*2*3*6 = 72, 12 logsumexps.
TEST(MakeOp, CountsAttentionByHand) {
  const std::vector<std::int64_t> shape{2, 2, 2, 3, 5, 5, 4, 6};
  const Op forward = fp32("attention", Pass::forward, shape);
  EXPECT_EQ(forward.matrix.count, 1200);
  EXPECT_EQ(forward.flops.count, 1200 + 5 * 60);
  EXPECT_EQ(forward.traffic.count, (48 + 80 + 120 + 72 + 12) * 4);
  const Op backward = fp32("causal_attention", Pass::backward_input, shape);
  EXPECT_EQ(backward.matrix.count, 2400);
  EXPECT_EQ(backward.traffic.count, (2 * (48 + 80 + 120) + 2 * 72 + 12) * 4);
}

// 2 samples of 5 x 5 x 4, kernel 3 x 3, 2 groups, 6 channels out, 3 x 3: y 2*9*6 = 108 numbers of
// 4/2*9 = 18 products each; w 2*9*6 = 108, x 200.
TEST(MakeOp, CountsConvolutionByHand) {
  const std::vector<std::int64_t> shape{2, 5, 5, 4, 3, 3, 6, 3, 3, 2};
  for (const Pass pass : {Pass::forward, Pass::backward_input, Pass::backward_weight}) {
    const Op op = fp32("conv2d", pass, shape);
    EXPECT_EQ(op.flops.count, 2 * 108 * 18);
    EXPECT_EQ(op.matrix, op.flops);
    EXPECT_EQ(op.traffic.count, (200 + 108 + 108) * 4);
  }
}

// n = 10 in bf16: two operands and a result; gradients of both; a mask of a byte an element.
TEST(MakeOp, CountsGatesAndMasksByHand) {
  const auto bf16 = [](const std::string& op, Pass pass) {
    return make_op({.op = op, .pass = pass, .shape = {10}, .dtype = DType::bf16});
  };
  EXPECT_EQ(bf16("gated_silu", Pass::forward).traffic, Bytes{30 * 2});
  EXPECT_EQ(bf16("gated_silu", Pass::backward_input).traffic, Bytes{50 * 2});
  EXPECT_EQ(bf16("gated_silu", Pass::backward_input).flops.count, 120);
  EXPECT_EQ(bf16("dropout", Pass::forward).traffic, Bytes{20 * 2 + 10});
}

// max(x, 0)^2, n = 10 in bf16: a comparison and a product; backward 2 max(x, 0) dy: a comparison and two
// products. x in and y out; x and dy in, dx out.
TEST(MakeOp, CountsSquaredReluByHand) {
  const auto relu_squared = [](Pass pass) {
    return make_op({.op = "relu_squared", .pass = pass, .shape = {10}, .dtype = DType::bf16});
  };
  EXPECT_EQ(relu_squared(Pass::forward).flops.count, 20);
  EXPECT_EQ(relu_squared(Pass::forward).traffic, Bytes{20 * 2});
  EXPECT_EQ(relu_squared(Pass::backward_input).flops.count, 30);
  EXPECT_EQ(relu_squared(Pass::backward_input).traffic, Bytes{30 * 2});
  EXPECT_THROW(relu_squared(Pass::backward_weight), Error);
}

// 4 experts, 6 rows of 3 in all, 5 out: 2*6*3*5; x 18, W 4*15, y 30.
TEST(MakeOp, ReadsTheWeightsOfEveryExpert) {
  const Op op = fp32("expert_linear", Pass::forward, {4, 6, 3, 5});
  EXPECT_EQ(op.matrix.count, 180);
  EXPECT_EQ(op.traffic.count, (18 + 60 + 30) * 4);
}

// FLOPs outside of products are not in `matrix`.
TEST(MakeOp, TellsMatrixProductsApart) {
  EXPECT_EQ(fp32("linear", Pass::forward, {2, 3, 5}).matrix.count, 60);
  EXPECT_EQ(fp32("add", Pass::forward, {7}).matrix.count, 0);
}

}  // namespace
}  // namespace foreplan
