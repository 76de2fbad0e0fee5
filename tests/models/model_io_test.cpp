#include "models/model_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/models/model_file.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

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
            "/layers/0/type: expected linear, conv2d, batch_norm, layer_norm, rms_norm, max_pool, "
            "average_pool, flatten, add, concat, relu, gelu, gelu_tanh, silu, relu_squared, tanh, "
            "gated_silu, "
            "gated_gelu, dropout, embedding, position_embedding, class_token, rotary, attention or "
            "select, got \"conv\"");
  EXPECT_THAT(complaint(model(R"({"name": "f", "type": "expert_linear"})")),
              HasSubstr("/layers/0/type: expected linear"));
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

TEST_F(ModelFile, IsOfImagesOrTokensAsWell) {
  const OpGraph images = read(image_model(
      R"({"name": "f", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": 2})"));
  EXPECT_EQ(images.input_features(), 3);
  EXPECT_EQ(images.input_positions(), Positions{.fixed = 48});
  EXPECT_EQ(images.layers()[1].in_features, 144);
  const OpGraph tokens =
      read(token_model(R"({"name": "e", "type": "embedding", "rows": 9, "out_features": 2})"));
  EXPECT_EQ(tokens.input_features(), 1);
  EXPECT_EQ(tokens.input_positions(), kSourceTokens);
  EXPECT_EQ(tokens.layers().back().positions, kSourceTokens);  // a loss a token
}

TEST_F(ModelFile, IsRefusedForAnInputThatIsNone) {
  const auto with_input = [&](const std::string& input) {
    return complaint(R"({"schema": "foreplan.model/1", "name": "m", "input": )" + input +
                     R"(, "layers": [)" + kFc + R"(], "loss": "softmax_cross_entropy"})");
  };
  EXPECT_EQ(with_input("{}"),
            "/input: expected features, or channels, height and width, or tokens, got an object of "
            "0 keys");
  EXPECT_EQ(with_input(R"({"channels": 3, "height": 8})"),
            "/input: expected the key \"width\", got none");
  EXPECT_EQ(with_input(R"({"features": 3, "height": 8})"),
            "/input/height: expected one of features, got an unknown key");
  EXPECT_EQ(with_input(R"({"tokens": false})"), "/input/tokens: expected true, got false");
  EXPECT_EQ(with_input(R"({"channels": 1, "height": 8, "width": 100001})"),
            "/input/width: expected an integer from 1 to 100000, got 100001");
  EXPECT_EQ(with_input(R"({"channels": 2, "height": 100000, "width": 100000})"),
            "/input: expected an image of at most 10000000000 numbers, got an object of 3 keys");
}

// Without a window the height is lost: any image of 48 pixels gives the same graph.
TEST_F(ModelFile, ReadsBackImagesAsHighAndWideAsTheirFirstWindowSays) {
  const std::string text = to_json(read(image_model(
      R"({"name": "n", "type": "batch_norm"},
         {"name": "c", "type": "conv2d", "out_channels": 4, "kernel": [3, 2]},
         {"name": "p", "type": "average_pool", "global": true})")));
  EXPECT_THAT(text, HasSubstr(R"("input": {"channels":3,"height":8,"width":6})"));
  EXPECT_EQ(to_json(read(text)), text);
  const std::string flat = to_json(read(image_model(R"({"name": "f", "type": "flatten"})")));
  EXPECT_THAT(flat, HasSubstr(R"("input": {"channels":3,"height":48,"width":1})"));
  EXPECT_EQ(to_json(read(flat)), flat);
}

TEST(ModelToJson, RefusesWhatAFileCannotHold) {
  const auto refusal = [](OpGraphParts parts) {
    try {
      to_json(OpGraph(std::move(parts)));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  const Layer loss{.name = "loss",
                   .kind = LayerKind::softmax_cross_entropy,
                   .in_features = 4,
                   .out_features = 1};
  const Layer scores{.name = "s",
                     .kind = LayerKind::top_k,
                     .in_features = 4,
                     .out_features = 4,
                     .shape = ExpertShape{.experts = 4, .top_k = 4}};
  OpGraphParts parts{.name = "m",
                     .input_features = 4,
                     .layers = {scores, loss},
                     .inputs = {{kModelInput}, {LayerId{0}}},
                     .blocks = {},
                     .runs = {}};
  EXPECT_EQ(refusal(parts), "layer s: a model file cannot hold top_k");
  parts.layers[0] = {
      .name = "s", .kind = LayerKind::relu, .in_features = 4, .out_features = 4, .shape = {}};
  parts.inputs[0] = {kBlockInput};
  parts.inputs[1] = {LayerId{0}};
  parts.blocks = {{.name = "b", .first = LayerId{0}, .last = LayerId{0}},
                  {.name = "h", .first = LayerId{1}, .last = LayerId{1}}};
  parts.inputs[1] = {kBlockInput};
  parts.runs = {{0, 2}, {1, 1}};
  EXPECT_EQ(refusal(parts), "model m: a model file cannot hold repeated blocks");
}

TEST_F(ModelFile, IsRefusedForMoreLayersThanAGraphHas) {
  std::string layers = kFc;
  for (int i = 1; i < 50'000; ++i) {
    layers += R"(, {"name": ")" + std::to_string(i) + R"(", "type": "relu"})";
  }
  EXPECT_EQ(complaint(model(layers)),
            "/layers: expected at most 49999 layers, got an array of 50000 values");
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
