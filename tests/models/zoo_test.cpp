#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "models/model_io.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(FOREPLAN_SOURCE_DIR) / "models";

std::vector<fs::path> files(const std::string& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(kModels / folder)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

OpGraph zoo(const std::string& name) { return read_model(kModels / "zoo" / (name + ".json")); }

TEST(Zoo, ReadsEveryNetworkUnderItsOwnNameWithItsSource) {
  EXPECT_GE(files("zoo").size(), 5U);
  for (const fs::path& path : files("zoo")) {
    const OpGraph graph = read_model(path);
    EXPECT_EQ(graph.name(), path.stem());
    EXPECT_FALSE(graph.source().empty()) << path;
    EXPECT_EQ(graph.layers().back().kind, LayerKind::softmax_cross_entropy) << path;
  }
}

TEST(Zoo, WritesEveryNetworkOfLayersSoThatItReadsBackTheSame) {
  const fs::path copy = fs::path(::testing::TempDir()) / "foreplan_zoo_copy.json";
  for (const fs::path& path : files("zoo")) {
    const OpGraph graph = read_model(path);
    if (!graph.flat()) continue;  // their files hold configs, which foreplan does not write
    const std::string text = to_json(graph);
    write_file(copy, text);
    EXPECT_EQ(to_json(read_model(copy)), text) << path;
  }
  fs::remove(copy);
}

// 784 * 128 + 128 = 100,480 and 128 * 10 + 10 = 1,290.
TEST(Zoo, HasMnistMlpAsEveryoneKnowsIt) {
  const OpGraph graph = zoo("mnist-mlp");
  EXPECT_EQ(graph.parameter_count(), 101'770);
  EXPECT_EQ(graph.input_features(), 784);
  EXPECT_EQ(graph.classes(), 10);
  ASSERT_EQ(graph.size(), 4U);
  EXPECT_EQ(graph.layers()[0].name, "fc1");
  EXPECT_EQ(graph.layers()[1].kind, LayerKind::relu);
  EXPECT_EQ(graph.layers()[2].name, "fc2");
}

// Four times 1024 * 1024 + 1024, with a ReLU between each two: 7 layers and the loss.
TEST(Zoo, HasFourSquareLayers) {
  const OpGraph graph = zoo("mlp-4x1024");
  EXPECT_EQ(graph.parameter_count(), 4'198'400);
  EXPECT_EQ(graph.size(), 8U);
  EXPECT_EQ(graph.classes(), 1024);
}

// embed 240*240 + 240 = 57,840; a block: norm 480, up 240*480 + 480 = 115,680, down
// 480*240 + 240 = 115,440, together 231,600; head 240*12 + 12 = 2,892.
TEST(Zoo, HasResidualBlocksWhoseWidthsDivideByTwoThreeAndFour) {
  const OpGraph graph = zoo("mlp-gelu-norm");
  EXPECT_EQ(graph.parameter_count(), 57'840 + 2 * 231'600 + 2'892);
  for (const Layer& layer : graph.layers()) {
    if (layer.kind != LayerKind::linear) continue;
    EXPECT_EQ(layer.out_features % 12, 0) << layer.name;
  }
  EXPECT_EQ(graph.consumers(LayerId{0}).size(), 2U);
}

// left 96*144 + 144, right 96*144 without a bias, head 144*12 + 12.
TEST(Zoo, HasBranchesFromOneInput) {
  const OpGraph graph = zoo("mlp-branches");
  EXPECT_EQ(graph.parameter_count(), 13'968 + 13'824 + 1'740);
  EXPECT_EQ(graph.consumers(kModelInput).size(), 2U);
}

TEST(Zoo, HasANetworkOfOneLayer) { EXPECT_EQ(zoo("mnist-linear").parameter_count(), 7'850); }

}  // namespace
}  // namespace foreplan
