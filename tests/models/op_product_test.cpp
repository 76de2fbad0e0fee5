#include "models/op_product.hpp"

#include <gtest/gtest.h>

#include "models/op_cost.hpp"

namespace foreplan {
namespace {

using enum Pass;

void expect_shape(const OpKey& key, ProductShape expected) {
  const ProductShape shape = product_shape(key);
  EXPECT_EQ(shape.batch, expected.batch) << format(key);
  EXPECT_EQ(shape.m, expected.m) << format(key);
  EXPECT_EQ(shape.n, expected.n) << format(key);
  EXPECT_EQ(shape.k, expected.k) << format(key);
}

double flops(const ProductShape& p) {
  return 2.0 * static_cast<double>(p.batch) * static_cast<double>(p.m) * static_cast<double>(p.n) *
         static_cast<double>(p.k);
}

// x is 3 x 5, W 5 x 7: dx = dy W^T is 3 x 7 by 7 x 5, dW = x^T dy 5 x 3 by 3 x 7.
TEST(ProductShape, OfALinearLayer) {
  for (const char* op : {"linear", "matmul"}) {
    expect_shape({.op = op, .pass = forward, .shape = {3, 5, 7}}, {1, 3, 7, 5});
    expect_shape({.op = op, .pass = backward_input, .shape = {3, 5, 7}}, {1, 3, 5, 7});
    expect_shape({.op = op, .pass = backward_weight, .shape = {3, 5, 7}}, {1, 5, 7, 3});
  }
}

TEST(ProductShape, OfManyMatrices) {
  expect_shape({.op = "batched_matmul", .pass = forward, .shape = {2, 3, 5, 7}}, {2, 3, 7, 5});
  expect_shape({.op = "batched_matmul", .pass = backward_input, .shape = {2, 3, 5, 7}},
               {2, 3, 5, 7});
  expect_shape({.op = "batched_matmul", .pass = backward_weight, .shape = {2, 3, 5, 7}},
               {2, 5, 7, 3});
}

// 13 rows of 4 experts: the fullest has at least 4.
TEST(ProductShape, OfExpertsWithTheirShareOfTheRows) {
  expect_shape({.op = "expert_linear", .pass = forward, .shape = {4, 13, 5, 7}}, {4, 4, 7, 5});
  expect_shape({.op = "expert_linear", .pass = backward_input, .shape = {4, 12, 5, 7}},
               {4, 3, 5, 7});
  expect_shape({.op = "expert_linear", .pass = backward_weight, .shape = {4, 12, 5, 7}},
               {4, 5, 7, 3});
}

// 2 samples of 3 heads, 11 queries that see 13 of 17 keys, 19 features.
TEST(ProductShape, OfAttentionIsQueriesByWhatTheySee) {
  for (const char* op : {"attention", "causal_attention"}) {
    for (const Pass pass : {forward, backward_input}) {
      expect_shape({.op = op, .pass = pass, .shape = {2, 3, 1, 11, 17, 13, 19, 23}},
                   {6, 11, 13, 19});
    }
  }
}

// 2 samples of 8 x 8 x 6 in two groups, 10 channels out, windows of 3 x 3: 3 channels in and 5 out a group.
TEST(ProductShape, OfAConvolutionUnfoldsItsImages) {
  const std::vector<std::int64_t> same{2, 8, 8, 6, 8, 8, 10, 3, 3, 2};
  expect_shape({.op = "conv2d", .pass = forward, .shape = same}, {2, 128, 5, 27});
  expect_shape({.op = "conv2d", .pass = backward_input, .shape = same}, {2, 128, 3, 45});
  expect_shape({.op = "conv2d", .pass = backward_weight, .shape = same}, {2, 27, 5, 128});
}

// Every second row and column: 4 x 4 results. A point of the image has a quarter of the windows' 5 x 9 terms.
TEST(ProductShape, OfAStridedConvolutionLeavesOutWhatNoWindowReads) {
  const std::vector<std::int64_t> strided{2, 8, 8, 6, 4, 4, 10, 3, 3, 2};
  expect_shape({.op = "conv2d", .pass = forward, .shape = strided}, {2, 32, 5, 27});
  expect_shape({.op = "conv2d", .pass = backward_input, .shape = strided}, {2, 128, 3, 12});
}

// 16 bytes are 8 numbers of fp16, 4 of fp32.
TEST(ProductShape, IsMisalignedWhereFeaturesAreNoMultipleOf16Bytes) {
  const auto misaligned = [](std::int64_t in, std::int64_t out, DType dtype) {
    return product_shape({.op = "linear", .shape = {3, in, out}, .dtype = dtype}).misaligned;
  };
  EXPECT_FALSE(misaligned(8, 16, DType::fp16));
  EXPECT_TRUE(misaligned(8, 12, DType::fp16));
  EXPECT_TRUE(misaligned(12, 8, DType::fp16));
  EXPECT_FALSE(misaligned(12, 8, DType::fp32));
}

// Scores of heads of 108 numbers of fp16, 216 bytes, and what they weigh; heads of 112 are 224 bytes.
TEST(ProductShape, IsMisalignedWhereHeadsAreNoMultipleOf16Bytes) {
  const auto misaligned = [](std::int64_t in, std::int64_t out) {
    return product_shape({.op = "batched_matmul", .shape = {2, 64, in, out}, .dtype = DType::fp16})
        .misaligned;
  };
  EXPECT_TRUE(misaligned(108, 64));
  EXPECT_TRUE(misaligned(64, 108));
  EXPECT_FALSE(misaligned(112, 64));
}

TEST(ProductShape, OfOthersIsNone) {
  EXPECT_EQ(product_shape({.op = "gelu", .shape = {8}}).batch, 0);
  EXPECT_EQ(product_shape({.op = "adam", .pass = optimizer, .shape = {8}}).batch, 0);
}

// Where nothing is rounded up, a product has the FLOPs that the op counts. Attention: the products of queries and
// keys are one of two forward, one of four backward.
TEST(ProductShape, HasTheFlopsOfItsOp) {
  const std::vector<OpKey> keys{{.op = "linear", .shape = {3, 5, 7}},
                                {.op = "matmul", .shape = {3, 5, 7}},
                                {.op = "batched_matmul", .shape = {2, 3, 5, 7}},
                                {.op = "expert_linear", .shape = {4, 12, 5, 7}},
                                {.op = "conv2d", .shape = {2, 8, 8, 6, 4, 4, 16, 2, 2, 2}}};
  for (OpKey key : keys) {
    for (const Pass pass : {forward, backward_input, backward_weight}) {
      key.pass = pass;
      EXPECT_EQ(flops(product_shape(key)), make_op(key).matrix.count) << format(key);
    }
  }
  OpKey key{.op = "attention", .shape = {2, 3, 1, 11, 17, 13, 19, 19}};
  EXPECT_EQ(2 * flops(product_shape(key)), make_op(key).matrix.count);
  key.pass = backward_input;
  EXPECT_EQ(4 * flops(product_shape(key)), make_op(key).matrix.count);
}

}  // namespace
}  // namespace foreplan
