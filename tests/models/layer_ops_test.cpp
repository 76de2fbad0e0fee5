#include "models/layer_ops.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/models/gpt.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> names(const std::vector<Op>& ops) {
  std::vector<std::string> result;
  for (const Op& op : ops) result.push_back(format(op.key));
  return result;
}

LayerId find(const OpGraph& graph, std::string_view name) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.layers()[i].name == name) return LayerId{static_cast<std::int32_t>(i)};
  }
  ADD_FAILURE() << name;
  return LayerId{0};
}

// 3 samples of 5 tokens: 15 rows.
TEST(LayerOps, TakeRowsFromSamplesAndLengths) {
  const OpGraph gpt = hand_made_gpt({});
  const Sizing sizing{.samples = 3, .lengths = {.source = 5}};
  const LayerOps up = layer_ops(gpt, find(gpt, "up"), sizing);
  EXPECT_THAT(names(up.forward), ElementsAre("linear.forward[15x8x32] fp32"));
  EXPECT_THAT(names(up.backward_input), ElementsAre("linear.backward_input[15x8x32] fp32"));
  EXPECT_THAT(names(up.backward_weight), ElementsAre("linear.backward_weight[15x8x32] fp32"));
  const LayerOps norm = layer_ops(gpt, find(gpt, "norm1"), sizing);
  EXPECT_THAT(names(norm.backward_weight), ElementsAre("layer_norm.backward_weight[15x8] fp32"));
  const LayerOps sum = layer_ops(gpt, find(gpt, "sum1"), sizing);
  EXPECT_THAT(sum.backward_input, IsEmpty());
  const LayerOps table = layer_ops(gpt, find(gpt, "table"), sizing);
  EXPECT_THAT(names(table.forward), ElementsAre("embedding.forward[15x16x8] fp32"));
  EXPECT_THAT(table.backward_input, IsEmpty());
}

// 3 samples of 2 heads: 6 products of 5 x 4 by 4 x 5, then 5 x 5 by 5 x 4, each with two gradients.
TEST(LayerOps, WriteAttentionFusedOrInParts) {
  const OpGraph gpt = hand_made_gpt({});
  Sizing sizing{.samples = 3, .lengths = {.source = 5}};
  const LayerOps fused = layer_ops(gpt, find(gpt, "attention"), sizing);
  EXPECT_THAT(names(fused.forward), ElementsAre("causal_attention.forward[3x2x2x5x5x5x4x4] fp32"));
  sizing.fused_attention = false;
  const LayerOps parts = layer_ops(gpt, find(gpt, "attention"), sizing);
  EXPECT_THAT(names(parts.forward),
              ElementsAre("batched_matmul.forward[6x5x4x5] fp32", "softmax.forward[30x5] fp32",
                          "dropout.forward[150] fp32", "batched_matmul.forward[6x5x5x4] fp32"));
  EXPECT_EQ(parts.backward_input.size(), 6U);
  double fused_products = 0, products = 0;
  for (const Op& op : fused.backward_input) fused_products += op.matrix.count;
  for (const Op& op : parts.backward_input) products += op.matrix.count;
  EXPECT_EQ(fused_products, products);
}

TEST(LayerOps, RefuseEmptyPieces) {
  const OpGraph gpt = hand_made_gpt({});
  EXPECT_THROW(layer_ops(gpt, LayerId{0}, {.samples = 0}), Error);
  EXPECT_THROW(layer_ops(gpt, LayerId{0}, {.lengths = {.source = 0}}), Error);
}

double megatron_flops(const GptSizes& g, double b, double s) {
  const auto layers = static_cast<double>(g.layers), h = static_cast<double>(g.h),
             v = static_cast<double>(g.vocabulary);
  return 72 * b * s * layers * h * h * (1 + s / (6 * h) + v / (12 * layers * h));
}

// Whole numbers below 2^53 in every term: equal to the last digit up to rounding of the formula itself.
TEST(MatrixFlops, EqualTheFormulaForGptShapes) {
  const GptSizes shapes[] = {{},
                             {.layers = 96, .h = 12288, .a = 96, .vocabulary = 51200},
                             {.layers = 48, .h = 6144, .a = 64, .vocabulary = 51200}};
  for (const GptSizes& g : shapes) {
    for (const bool fused : {false, true}) {
      const Sizing sizing{.samples = 4, .lengths = {.source = 2048}, .fused_attention = fused};
      const double expected = megatron_flops(g, 4, 2048);
      EXPECT_NEAR(matrix_flops(hand_made_gpt(g), sizing).count / expected, 1, 1e-14);
    }
  }
}

/// 4 -> fc1 (3) -> gelu -> fc2 (3, no bias) -> sum with gelu -> norm -> loss of 3 classes.
OpGraph small() {
  const auto id = [](int number) { return LayerId{number}; };
  return {"m",
          4,
          {{"fc1", LayerKind::linear, 4, 3},
           {"gelu", LayerKind::gelu, 3, 3},
           {"fc2", LayerKind::linear, 3, 3, false},
           {"sum", LayerKind::add, 3, 3},
           {"norm", LayerKind::layer_norm, 3, 3},
           {"loss", LayerKind::softmax_cross_entropy, 3, 1}},
          {{kModelInput}, {id(0)}, {id(1)}, {id(2), id(1)}, {id(3)}, {id(4)}}};
}

// One sample, k = 4, n = 3: forward 2*4*3 + 3; x 4, W 12, b 3, y 3 numbers. Nobody asks for dx.
TEST(LayerCost, LeavesOutTheGradientOfTheSamples) {
  const LayerCost cost = layer_cost(small(), LayerId{0}, DType::fp32);
  EXPECT_EQ(cost.parameters, 15);
  EXPECT_EQ(cost.forward.count, 27);
  EXPECT_EQ(cost.forward_traffic, Bytes{22 * 4});
  EXPECT_EQ(cost.backward_input.count, 0);
  EXPECT_EQ(cost.backward_input_traffic, 0_B);
  EXPECT_EQ(cost.backward_weight.count, 27);
  EXPECT_EQ(cost.backward_weight_traffic, Bytes{22 * 4});
  EXPECT_EQ(cost.activation, Bytes{3 * 4});
}

// Without a bias: 2*3*3 in each of the three passes.
TEST(LayerCost, CountsALinearLayerWithoutBiasAsAMatmul) {
  const LayerCost cost = layer_cost(small(), LayerId{2}, DType::fp32);
  EXPECT_EQ(cost.parameters, 9);
  EXPECT_EQ(cost.forward.count, 18);
  EXPECT_EQ(cost.backward_input.count, 18);
  EXPECT_EQ(cost.backward_weight.count, 18);
}

TEST(LayerCost, HandsTheGradientOfASumOnForNothing) {
  const LayerCost cost = layer_cost(small(), LayerId{3}, DType::fp32);
  EXPECT_EQ(cost.forward.count, 3);
  EXPECT_EQ(cost.backward_input.count, 0);
  EXPECT_EQ(cost.parameters, 0);
}

// layer_norm: 7, 10 and 5 an element; bf16 halves the bytes of x, gain, shift and y, 12 numbers; the 2
// statistics stay fp32.
TEST(LayerCost, CountsANormInEveryPass) {
  const LayerCost cost = layer_cost(small(), LayerId{4}, DType::bf16);
  EXPECT_EQ(cost.forward.count, 21);
  EXPECT_EQ(cost.backward_input.count, 30);
  EXPECT_EQ(cost.backward_weight.count, 15);
  EXPECT_EQ(cost.forward_traffic, Bytes{12 * 2 + 2 * 4});
  EXPECT_EQ(cost.parameters, 6);
}

TEST(LayerCost, GivesTheLossOneNumberOfActivation) {
  const LayerCost cost = layer_cost(small(), LayerId{5}, DType::fp32);
  EXPECT_EQ(cost.activation, 4_B);
  EXPECT_EQ(cost.forward.count, 15);
  EXPECT_EQ(cost.backward_input.count, 6);
}

}  // namespace
}  // namespace foreplan
