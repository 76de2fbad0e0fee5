#include "models/op_graph_check.hpp"

#include <gtest/gtest.h>

#include <string>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// What is wrong with a graph of images of 3 x 8 x 6 that has this layer and a loss behind it.
std::string complaint(const Layer& layer) {
  const Layer loss{.name = "loss",
                   .kind = LayerKind::softmax_cross_entropy,
                   .in_features = layer.out_features,
                   .out_features = 1,
                   .positions = layer.positions};
  try {
    check_op_graph({.name = "m",
                    .input_features = 3,
                    .input_positions = {.fixed = 48},
                    .layers = {layer, loss},
                    .inputs = {{kModelInput}, {LayerId{0}}},
                    .blocks = {},
                    .runs = {}});
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

Layer convolution(const SpatialShape& shape) {
  return {.name = "it",
          .kind = LayerKind::conv2d,
          .in_features = 3,
          .out_features = 5,
          .positions = {.fixed = shape.out_height() * shape.out_width()},
          .shape = shape};
}

TEST(CheckOpGraph, TakesAConvolutionOfItsInputsHeightAndWidth) {
  const SpatialShape shape{.in_height = 8, .in_width = 6, .kernel_height = 3, .kernel_width = 3};
  EXPECT_EQ(complaint(convolution(shape)), "nothing");
  SpatialShape other = shape;
  other.in_width = 7;
  EXPECT_EQ(complaint(convolution(other)),
            "model m: layer it: its input has other rows than 8 x 7");
}

// 3 channels of 2000 x 2000 are 12,000,000 weights for each output.
TEST(CheckOpGraph, RefusesWindowsThatNobodyTrains) {
  EXPECT_EQ(complaint(convolution({.in_height = 8,
                                   .in_width = 6,
                                   .kernel_height = 2000,
                                   .kernel_width = 2000,
                                   .padding_height = 1000,
                                   .padding_width = 1000})),
            "model m: layer it: expected at most 10000000 weights an output feature");
  EXPECT_EQ(complaint(convolution({.in_height = 8, .in_width = 6, .padding_height = 10'000'001})),
            "model m: layer it: expected sizes of at most 10000000");
}

TEST(CheckOpGraph, WantsAllFeaturesOfAllRowsBehindAFlatten) {
  const Layer flatten{
      .name = "it", .kind = LayerKind::flatten, .in_features = 3, .out_features = 144, .shape = {}};
  EXPECT_EQ(complaint(flatten), "nothing");
  Layer narrow = flatten;
  narrow.out_features = 143;
  EXPECT_EQ(complaint(narrow), "model m: layer it: flatten of 3 features cannot have 143");
  Layer rows = flatten;
  rows.positions = {.fixed = 2};
  EXPECT_EQ(complaint(rows), "model m: layer it: flatten of 3 features cannot have 144");
}

}  // namespace
}  // namespace foreplan
