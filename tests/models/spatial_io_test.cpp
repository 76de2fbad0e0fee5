#include "models/spatial_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/model_file.hpp"

namespace foreplan {
namespace {

using ::testing::HasSubstr;

/// Of images of 3 x 8 x 6.
class SpatialFile : public ModelFile {
 protected:
  std::string refusal(const std::string& layer) const {
    return complaint(image_model(R"({"name": "c", )" + layer + "}"));
  }
  SpatialShape shape(const std::string& layer) const {
    return shape_of<SpatialShape>(
        read(image_model(R"({"name": "c", )" + layer + "}")).layer(LayerId{0}));
  }
};

// A kernel of 3 x 3 with a border of 1 at every other pixel: (8 + 2 - 3) / 2 + 1 = 4 high,
// (6 + 2 - 3) / 2 + 1 = 3 wide. Weights 3 * 3 * 3 a channel, 10 channels, and a bias each.
TEST_F(SpatialFile, DerivesHeightAndWidthOfAConvolution) {
  const OpGraph graph = read(image_model(
      R"({"name": "c", "type": "conv2d", "out_channels": 10, "kernel": 3,
          "stride": 2, "padding": 1})"));
  const Layer& conv = graph.layer(LayerId{0});
  EXPECT_EQ(conv.positions, Positions{.fixed = 12});
  EXPECT_EQ(shape_of<SpatialShape>(conv).out_height(), 4);
  EXPECT_EQ(shape_of<SpatialShape>(conv).out_width(), 3);
  EXPECT_EQ(graph.parameter_count(), 3 * 3 * 3 * 10 + 10);
}

// A row of 1 x 5 in 6 pixels without a border: 2 of them; three groups of one channel each, two
// output channels a group: 5 weights for each of 6.
TEST_F(SpatialFile, TakesSidesAndGroupsAndNoBias) {
  const OpGraph graph =
      read(image_model(R"({"name": "c", "type": "conv2d", "in_channels": 3, "out_channels": 6,
                      "kernel": [1, 5], "groups": 3, "bias": false})"));
  EXPECT_EQ(graph.layer(LayerId{0}).positions, Positions{.fixed = 8 * 2});
  EXPECT_EQ(graph.parameter_count(), 5 * 6);
}

// Kernel, padding and stride: floor((8 + 2 - 3) / 3) + 1 = 3, floor((6 + 0 - 2) / 3) + 1 = 2.
TEST_F(SpatialFile, RoundsDown) {
  const SpatialShape s =
      shape(R"("type": "max_pool", "kernel": [3, 2], "stride": 3, "padding": [1, 0])");
  EXPECT_EQ(s.out_height(), 3);
  EXPECT_EQ(s.out_width(), 2);
}

TEST_F(SpatialFile, StridesAPoolByItsKernelUnlessToldOtherwise) {
  EXPECT_EQ(shape(R"("type": "max_pool", "kernel": 2)").stride, 2);
  EXPECT_EQ(shape(R"("type": "average_pool", "kernel": 2, "stride": 1)").stride, 1);
  EXPECT_EQ(refusal(R"("type": "max_pool", "kernel": [2, 1])"),
            "/layers/0: expected the key \"stride\", got none");
}

TEST_F(SpatialFile, PoolsAWholeImageWhereItIsGlobal) {
  const SpatialShape s = shape(R"("type": "average_pool", "global": true)");
  EXPECT_EQ(s.kernel_height, 8);
  EXPECT_EQ(s.kernel_width, 6);
  EXPECT_EQ(s.out_height() * s.out_width(), 1);
  EXPECT_THAT(refusal(R"("type": "average_pool", "global": true, "kernel": 2)"),
              HasSubstr("/layers/0/kernel: expected one of"));
}

TEST_F(SpatialFile, FlattensAnImageAndRefusesALinearLayerInFrontOfThat) {
  const std::string fc = R"({"name": "fc", "type": "linear", "out_features": 5})";
  const OpGraph graph = read(image_model(R"({"name": "f", "type": "flatten"}, )" + fc));
  EXPECT_EQ(graph.parameter_count(), 3 * 8 * 6 * 5 + 5);
  EXPECT_EQ(complaint(image_model(fc)),
            "/layers/0: expected flatten or a global pool in front of linear, got 8 x 6 pixels");
}

TEST_F(SpatialFile, ConcatenatesChannelsOfEqualImages) {
  const std::string branches =
      R"({"name": "a", "type": "conv2d", "out_channels": 5, "kernel": 1},
         {"name": "b", "type": "conv2d", "out_channels": 7, "kernel": 3, "padding": 1,
          "inputs": ["input"]},
         {"name": "p", "type": "max_pool", "kernel": 2, "inputs": ["input"]}, )";
  const OpGraph graph =
      read(image_model(branches + R"({"name": "j", "type": "concat", "inputs": ["a", "b", "input"]},
                    {"name": "j2", "type": "concat", "inputs": ["p", "p"]},
                    {"name": "g", "type": "max_pool", "global": true, "inputs": ["j"]},
                    {"name": "g2", "type": "max_pool", "global": true, "inputs": ["j2"]},
                    {"name": "end", "type": "concat", "inputs": ["g", "g2"]})"));
  EXPECT_EQ(graph.layer(LayerId{3}).out_features, 5 + 7 + 3);
  EXPECT_EQ(graph.classes(), 15 + 6);
  EXPECT_EQ(
      complaint(image_model(branches + R"({"name": "j", "type": "concat", "inputs": ["a", "p"]})")),
      "/layers/3/inputs/1: expected an input of 8 x 6 pixels, as the first has (this has 4 x 3 "
      "pixels), got \"p\"");
  EXPECT_EQ(
      complaint(image_model(branches + R"({"name": "j", "type": "concat", "inputs": ["a"]})")),
      "/layers/3/inputs: expected 2 to 1000 inputs, got an array of 1 value");
  EXPECT_EQ(
      complaint(image_model(branches + R"({"name": "j", "type": "add", "inputs": ["b", "a"]})")),
      "/layers/3/inputs/1: expected an input of 7 features, as the first has (this has 5), got "
      "\"a\"");
}

// 12 pixels either way, but not the same ones.
TEST_F(SpatialFile, KeepsAnImageApartFromOneThatIsTurned) {
  EXPECT_EQ(
      complaint(image_model(
          R"({"name": "a", "type": "conv2d", "out_channels": 1, "kernel": [5, 4]},
                   {"name": "b", "type": "conv2d", "out_channels": 1, "kernel": [7, 1],
                    "inputs": ["input"]},
                   {"name": "j", "type": "add", "inputs": ["a", "b"]})")),
      "/layers/2/inputs/1: expected an input of 4 x 3 pixels, as the first has (this has 2 x 6 "
      "pixels), got \"b\"");
}

TEST_F(SpatialFile, IsRefusedWhereTheWindowDoesNotFit) {
  EXPECT_EQ(refusal(R"("type": "max_pool", "kernel": 7)"),
            "/layers/0/kernel: expected at most 8 x 6, its input, got 7");
  EXPECT_EQ(refusal(R"("type": "conv2d", "out_channels": 1, "kernel": [3, 9], "padding": 1)"),
            "/layers/0/kernel: expected at most 10 x 8, its input with padding, got an array of 2 "
            "values");
  EXPECT_EQ(refusal(R"("type": "max_pool", "kernel": 3, "padding": 2)"),
            "/layers/0/padding: expected at most half of the kernel, 1 x 1, got 2 x 2");
  EXPECT_EQ(refusal(R"("type": "max_pool", "kernel": [3])"),
            "/layers/0/kernel: expected a number or [height, width], got an array of 1 value");
  EXPECT_EQ(refusal(R"("type": "max_pool", "kernel": 0)"),
            "/layers/0/kernel: expected an integer from 1 to 100000, got 0");
}

TEST_F(SpatialFile, IsRefusedForChannelsThatDisagree) {
  EXPECT_EQ(refusal(R"("type": "conv2d", "out_channels": 4, "in_channels": 4, "kernel": 1)"),
            "/layers/0/in_channels: expected 3, the channels of its input, got 4");
  EXPECT_EQ(refusal(R"("type": "conv2d", "out_channels": 4, "kernel": 1, "groups": 3)"),
            "/layers/0/groups: expected a divisor of its 3 and 4 channels, got 3");
  EXPECT_EQ(refusal(R"("type": "conv2d", "kernel": 1)"),
            "/layers/0: expected the key \"out_channels\", got none");
}

TEST_F(SpatialFile, IsRefusedWhereItsInputIsNoImage) {
  EXPECT_EQ(complaint(model(R"({"name": "c", "type": "conv2d", "out_channels": 1, "kernel": 1})")),
            "/layers/0: expected an image as its input, got 4 features in 1 row");
}

// 8 + 2 * 99,999 - 1 + 1 = 200,006 pixels.
TEST_F(SpatialFile, IsRefusedForSizesThatNobodyTrains) {
  EXPECT_THAT(
      refusal(R"("type": "conv2d", "out_channels": 1, "kernel": 1, "padding": 99999)"),
      HasSubstr("/layers/0: expected an output of at most 10000000000 numbers, got 1 channels "
                "of 200006 x 200004"));
  EXPECT_EQ(refusal(R"("type": "conv2d", "out_channels": 1, "kernel": 2000, "padding": 1000)"),
            "/layers/0: expected at most 10000000 weights an output channel, got 12000000");
}

TEST_F(SpatialFile, ReadsBackWhatIsWritten) {
  const std::string text = to_json(read(image_model(
      R"({"name": "a", "type": "conv2d", "out_channels": 6, "kernel": [3, 2], "stride": 2,
          "padding": [1, 0], "groups": 3, "bias": false},
         {"name": "b", "type": "batch_norm"},
         {"name": "p", "type": "max_pool", "kernel": 2, "padding": 1},
         {"name": "q", "type": "average_pool", "kernel": [2, 1], "stride": 1},
         {"name": "g", "type": "average_pool", "global": true},
         {"name": "f", "type": "flatten"})")));
  EXPECT_EQ(to_json(read(text)), text);
  EXPECT_THAT(text,
              HasSubstr(R"("kernel":[3,2],"stride":2,"padding":[1,0],"groups":3,"bias":false)"));
  EXPECT_THAT(text, HasSubstr(R"("kernel":2,"stride":2,"padding":1)"));
  EXPECT_THAT(text, HasSubstr(R"("kernel":[2,1],"stride":1})"));
  EXPECT_THAT(text, HasSubstr(R"("type":"average_pool","global":true)"));
}

}  // namespace
}  // namespace foreplan
