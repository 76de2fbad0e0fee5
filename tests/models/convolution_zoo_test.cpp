// The convolutional networks of models/zoo are the published ones.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "models/layer_ops.hpp"
#include "models/model_io.hpp"

namespace foreplan {
namespace {

OpGraph zoo(const std::string& name) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo" / (name + ".json"));
}

/// Multiply-adds of convolutions and linear layers, one image forward: every weight once a pixel.
double giga_multiply_adds(const OpGraph& graph) {
  double sum = 0;
  for (const Parameter& p : graph.parameters()) {
    if (p.role != Parameter::Role::weight) continue;
    sum += static_cast<double>(p.rows) * static_cast<double>(p.columns) *
           static_cast<double>(graph.layer(p.layer).positions.fixed);
  }
  return sum / 1e9;
}

struct Published {
  const char* name;
  std::int64_t parameters;
  double giga_multiply_adds;  ///< as rounded there
};

// Parameters: `num_params` of torchvision's weights (torchvision/models/*.py, shown on
// pytorch.org/vision/stable/models); multiply-adds: `_ops` there ("GFLOPS" of the pages), to the
// last digit given. inception_v3: 27,161,264 less the auxiliary classifier, which is a 1 x 1
// convolution of 768 to 128 channels, a 5 x 5 one to 768, both normalised, and a linear layer to
// 1000: 98,304 + 256 + 2,457,600 + 1,536 + 769,000 = 3,326,696. resnext101-32x4d: pytorchcv's
// resnext.py asserts the number; 8.0 multiply-adds as timm's card of it (gluon_in1k) has.
constexpr Published kPublished[] = {
    {"resnet18", 11'689'512, 1.814},
    {"resnet34", 21'797'672, 3.664},
    {"resnet50", 25'557'032, 4.089},
    {"resnet101", 44'549'160, 7.801},
    {"resnet152", 60'192'808, 11.514},
    {"resnext50-32x4d", 25'028'904, 4.23},
    {"resnext101-32x4d", 44'177'704, 8.0},
    {"resnext101-32x8d", 88'791'336, 16.414},
    {"wide-resnet50-2", 68'883'240, 11.398},
    {"alexnet", 61'100'840, 0.714},
    {"vgg11", 132'863'336, 7.609},
    {"vgg16", 138'357'544, 15.47},
    {"vgg19", 143'667'240, 19.632},
    {"densenet121", 7'978'856, 2.834},
    {"inception-v3", 27'161'264 - 3'326'696, 5.713},
};

TEST(ConvolutionZoo, HasThePublishedNumberOfParameters) {
  for (const Published& network : kPublished) {
    EXPECT_EQ(zoo(network.name).parameter_count(), network.parameters) << network.name;
  }
}

TEST(ConvolutionZoo, MultipliesAsOftenAsPublished) {
  for (const Published& network : kPublished) {
    const double rounding = network.giga_multiply_adds == 8.0 ? 0.05 : 0.0005;
    EXPECT_NEAR(giga_multiply_adds(zoo(network.name)), network.giga_multiply_adds, rounding)
        << network.name;
  }
}

// A multiply-add is two FLOPs: 2 * 4,089,184,256 forward, and an addition for each of the 1000
// biases of the last layer; no convolution has a bias.
TEST(ConvolutionZoo, CountsTheForwardFlopsOfResNet50) {
  const OpGraph graph = zoo("resnet50");
  double flops = 0;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const LayerKind kind = graph.layer(id).kind;
    if (kind != LayerKind::conv2d && kind != LayerKind::linear) continue;
    flops += layer_cost(graph, id, DType::fp32).forward.count;
  }
  EXPECT_EQ(flops, 2.0 * 4'089'184'256 + 1000);
}

// Forward, gradients of the weights and gradients of the inputs, but for the first convolution,
// whose input is the image: 64 channels of 112 x 112 from 3 of 7 x 7 are 118,013,952 multiply-adds.
TEST(ConvolutionZoo, CountsTheFlopsOfAStepOfResNet50) {
  const double flops = matrix_flops(zoo("resnet50"), {.samples = 2}).count;
  EXPECT_EQ(flops, 2 * (6.0 * 4'089'184'256 - 2.0 * 118'013'952));
}

// Table 1 of He et al., arXiv 1512.03385: 224, then 112, 56, 28, 14 and 7 pixels a side.
TEST(ConvolutionZoo, HalvesTheImageInEveryStageOfAResidualNetwork) {
  const OpGraph graph = zoo("resnet50");
  const auto pixels = [&](const std::string& name) {
    for (const Layer& layer : graph.layers()) {
      if (layer.name == name) return layer.positions.fixed;
    }
    return std::int64_t{-1};
  };
  EXPECT_EQ(graph.input_positions(), Positions{.fixed = 224 * 224});
  EXPECT_EQ(pixels("conv1"), 112 * 112);
  EXPECT_EQ(pixels("layer1.2.relu"), 56 * 56);
  EXPECT_EQ(pixels("layer2.3.relu"), 28 * 28);
  EXPECT_EQ(pixels("layer3.5.relu"), 14 * 14);
  EXPECT_EQ(pixels("layer4.2.relu"), 7 * 7);
  EXPECT_EQ(pixels("fc"), 1);
}

// Table 1 of Szegedy et al., arXiv 1512.00567: 35 x 35 x 288 into the first cut, 17 x 17 x 768,
// then 8 x 8 x 1280 and 2048.
TEST(ConvolutionZoo, JoinsTheBranchesOfInceptionBlocks) {
  const OpGraph graph = zoo("inception-v3");
  std::vector<std::pair<std::int64_t, std::int64_t>> joined;
  for (const Layer& layer : graph.layers()) {
    if (layer.kind == LayerKind::concat) {
      joined.emplace_back(layer.positions.fixed, layer.out_features);
    }
  }
  const std::vector<std::pair<std::int64_t, std::int64_t>> expected = {
      {35 * 35, 256}, {35 * 35, 288}, {35 * 35, 288}, {17 * 17, 768},
      {17 * 17, 768}, {17 * 17, 768}, {17 * 17, 768}, {17 * 17, 768},
      {8 * 8, 1280},  {8 * 8, 2048},  {8 * 8, 2048}};
  EXPECT_EQ(joined, expected);
}

TEST(ConvolutionZoo, IsWhatItsProgramWrites) {
  const std::string command = "python3 " FOREPLAN_SOURCE_DIR "/tools/write_zoo.py --check";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace foreplan
