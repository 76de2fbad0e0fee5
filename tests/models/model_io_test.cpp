#include "models/model_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

/// A file of its own for each test, gone afterwards.
class ModelFile : public ::testing::Test {
 protected:
  ModelFile()
      : path_(std::filesystem::path(::testing::TempDir()) /
              (std::string("foreplan_model_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".json")) {}
  ~ModelFile() override { std::filesystem::remove(path_); }

  OpGraph read(const std::string& text) const {
    std::ofstream(path_, std::ios::binary) << text;
    return read_model(path_);
  }

  /// What is wrong with `text`, behind the name of the file.
  std::string complaint(const std::string& text) const {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      const std::string message = error.what();
      const std::string file = path_.string() + ": ";
      EXPECT_EQ(message.substr(0, file.size()), file);
      EXPECT_EQ(message.find('\n'), std::string::npos);
      return message.substr(file.size());
    }
    return "no complaint";
  }

  std::filesystem::path path_;
};

/// A model of 4 features with these layers.
std::string model(const std::string& layers, const std::string& more = "") {
  return R"({"schema": "foreplan.model/1", "name": "m", "input": {"features": 4}, "layers": [)" +
         layers + R"(], "loss": "softmax_cross_entropy")" + more + "}";
}

const std::string kFc = R"({"name": "fc", "type": "linear", "out_features": 3})";

TEST_F(ModelFile, BecomesAGraphWithTheLossAtItsEnd) {
  const OpGraph graph =
      read(model(kFc + R"(, {"name": "act", "type": "relu"})", R"(, "source": "a test")"));
  EXPECT_EQ(graph.name(), "m");
  EXPECT_EQ(graph.source(), "a test");
  ASSERT_EQ(graph.size(), 3U);
  EXPECT_EQ(graph.layers()[0].in_features, 4);
  EXPECT_EQ(graph.layers()[1].out_features, 3);
  EXPECT_EQ(graph.layers()[2].name, "loss");
  EXPECT_EQ(graph.layers()[2].kind, LayerKind::softmax_cross_entropy);
  EXPECT_EQ(graph.classes(), 3);
  EXPECT_EQ(graph.parameter_count(), 4 * 3 + 3);
}

TEST_F(ModelFile, TakesNamedInputsBiasAndWidths) {
  const OpGraph graph =
      read(model(kFc +
                 R"(, {"name": "b", "type": "linear", "inputs": ["input"], "in_features": 4,
           "out_features": 3, "bias": false},
          {"name": "sum", "type": "add", "inputs": ["b", "fc"]})"));
  EXPECT_FALSE(graph.layers()[1].bias);
  EXPECT_THAT(graph.inputs(LayerId{1}), ElementsAre(kModelInput));
  EXPECT_THAT(graph.inputs(LayerId{2}), ElementsAre(LayerId{1}, LayerId{0}));
}

TEST_F(ModelFile, ReadsBackWhatIsWritten) {
  const std::string text = to_json(
      read(model(kFc + R"(, {"name": "b", "type": "linear", "inputs": ["input"], "out_features": 3,
                 "bias": false},
               {"name": "sum", "type": "add", "inputs": ["fc", "b"]},
               {"name": "norm", "type": "layer_norm"}, {"name": "g", "type": "gelu"})",
                 R"(, "source": "s")")));
  const OpGraph graph = read(text);
  EXPECT_EQ(to_json(graph), text);
  ASSERT_EQ(graph.size(), 6U);
  EXPECT_FALSE(graph.layers()[1].bias);
  EXPECT_EQ(graph.layers()[3].kind, LayerKind::layer_norm);
  EXPECT_THAT(graph.inputs(LayerId{2}), ElementsAre(LayerId{0}, LayerId{1}));
  EXPECT_EQ(graph.source(), "s");
}

TEST_F(ModelFile, IsRefusedForUnknownOrMissingKeys) {
  EXPECT_THAT(complaint(model(kFc, R"(, "colour": 1)")), HasSubstr("/colour: expected one of"));
  EXPECT_THAT(complaint(model(R"({"name": "f", "type": "relu", "out_features": 4})")),
              HasSubstr("/layers/0/out_features: expected one of"));
  EXPECT_EQ(complaint(model(R"({"name": "f", "type": "linear"})")),
            "/layers/0: expected the key \"out_features\", got none");
  EXPECT_EQ(complaint(R"({"schema": "foreplan.model/1"})"), "expected the key \"name\", got none");
}

TEST_F(ModelFile, IsRefusedForWidthsOutOfRange) {
  EXPECT_EQ(complaint(model(R"({"name": "f", "type": "linear", "out_features": -4})")),
            "/layers/0/out_features: expected an integer from 1 to 10000000, got -4");
  EXPECT_THAT(complaint(model(R"({"name": "f", "type": "linear", "out_features": 1.5})")),
              EndsWith("got 1.5"));
  EXPECT_THAT(complaint(model(R"({"name": "f", "type": "linear", "out_features": 1e300})")),
              HasSubstr("/layers/0/out_features: expected an integer"));
}

TEST_F(ModelFile, IsRefusedForWidthsThatDisagree) {
  EXPECT_EQ(
      complaint(model(R"({"name": "f", "type": "linear", "in_features": 5, "out_features": 3})")),
      "/layers/0/in_features: expected 4, the width of its input, got 5");
  EXPECT_EQ(
      complaint(model(kFc + R"(, {"name": "sum", "type": "add", "inputs": ["fc", "input"]})")),
      "/layers/1/inputs/1: expected an input of 3 features, as the first has (this has 4), got "
      "\"input\"");
}

TEST_F(ModelFile, IsRefusedForInputsThatAreWrong) {
  EXPECT_EQ(complaint(model(R"({"name": "f", "type": "relu", "inputs": ["g"]},
                               {"name": "g", "type": "relu"})")),
            "/layers/0/inputs/0: expected an earlier layer or \"input\", got \"g\"");
  EXPECT_EQ(complaint(model(kFc + R"(, {"name": "sum", "type": "add"})")),
            "/layers/1: expected the key \"inputs\", got none");
  EXPECT_EQ(complaint(model(kFc + R"(, {"name": "sum", "type": "add", "inputs": ["fc"]})")),
            "/layers/1/inputs: expected 2 inputs, got an array of 1 value");
  EXPECT_THAT(complaint(model(R"({"name": "f", "type": "relu", "inputs": []})")),
              HasSubstr("/layers/0/inputs: expected 1 input, got"));
}

TEST_F(ModelFile, IsRefusedForTypesThatAreUnknown) {
  EXPECT_EQ(complaint(model(R"({"name": "f", "type": "conv"})")),
            "/layers/0/type: expected linear, relu, gelu, layer_norm or add, got \"conv\"");
  EXPECT_THAT(complaint(model(R"({"name": "f", "type": "softmax_cross_entropy"})")),
              HasSubstr("/layers/0/type: expected linear"));
  EXPECT_EQ(complaint(R"({"schema": "foreplan.model/1", "name": "m", "input": {"features": 4},
                          "layers": [)" +
                      kFc + R"(], "loss": "hinge"})"),
            "/loss: expected \"softmax_cross_entropy\", got \"hinge\"");
}

TEST_F(ModelFile, IsRefusedForNamesThatAreTaken) {
  for (const std::string name : {"fc", "input", "loss", ""}) {
    EXPECT_EQ(complaint(model(kFc + R"(, {"name": ")" + name + R"(", "type": "relu"})")),
              "/layers/1/name: expected a name of its own, neither \"input\" nor \"loss\", got \"" +
                  name + "\"");
  }
}

TEST_F(ModelFile, IsRefusedForAnOutputThatNobodyUses) {
  EXPECT_EQ(complaint(model(kFc + R"(, {"name": "b", "type": "relu", "inputs": ["input"]})")),
            "model m: layer fc: its output is never used for the loss");
}

TEST_F(ModelFile, IsRefusedWithoutLayers) {
  EXPECT_THAT(complaint(model("")), HasSubstr("/layers: expected at least one layer, got"));
}

TEST_F(ModelFile, IsRefusedForAnotherSchemaOrNoJson) {
  EXPECT_THAT(complaint(R"({"schema": "foreplan.plan/1"})"), HasSubstr("foreplan.model/1"));
  const std::string whole = model(kFc);
  EXPECT_THAT(complaint(whole.substr(0, whole.size() / 2)), HasSubstr("line 1"));
  EXPECT_THAT(complaint("[]"), HasSubstr("expected an object"));
}

TEST_F(ModelFile, IsRefusedWhereItIsMissing) { EXPECT_THROW(read_model(path_), Error); }

}  // namespace
}  // namespace foreplan
