#include "models/op_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kLinear = LayerKind::linear;
constexpr auto kRelu = LayerKind::relu;
constexpr auto kLoss = LayerKind::softmax_cross_entropy;

/// What goes into an OpGraph, to be spoilt in one place by each test.
struct Parts {
  std::int64_t features = 4;
  std::vector<Layer> layers;
  std::vector<std::vector<LayerId>> inputs;
};

LayerId id(int number) { return LayerId{number}; }

/// 4 -> fc1 (3) -> relu1 -> fc2 (2) -> loss.
Parts chain() {
  return {4,
          {{"fc1", kLinear, 4, 3},
           {"relu1", kRelu, 3, 3},
           {"fc2", kLinear, 3, 2},
           {"loss", kLoss, 2, 1}},
          {{kModelInput}, {id(0)}, {id(1)}, {id(2)}}};
}

OpGraph build(const Parts& parts) { return {"m", parts.features, parts.layers, parts.inputs}; }

std::string complaint(const Parts& parts) {
  try {
    build(parts);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

// fc1: 4 x 3 weights and 3 biases; fc2: 3 x 2 and 2. In all 12 + 3 + 6 + 2 = 23.
TEST(OpGraph, ListsParametersLayerByLayer) {
  const OpGraph graph = build(chain());
  EXPECT_EQ(graph.parameter_count(), 23);
  ASSERT_EQ(graph.parameters().size(), 4U);
  const Parameter& weight = graph.parameters()[2];
  EXPECT_EQ(weight.layer, id(2));
  EXPECT_EQ(weight.role, Parameter::Role::weight);
  EXPECT_EQ(weight.rows, 3);
  EXPECT_EQ(weight.columns, 2);
  EXPECT_EQ(graph.parameters()[3].role, Parameter::Role::bias);
  EXPECT_THAT(graph.parameters_of(id(0)), ElementsAre(0, 1));
  EXPECT_THAT(graph.parameters_of(id(1)), IsEmpty());
  EXPECT_THAT(graph.parameters_of(id(2)), ElementsAre(2, 3));
}

// Without its bias fc1 has 4 x 3 = 12 parameters; layer_norm of 3 has 3 gains and 3 shifts.
TEST(OpGraph, CountsGainAndShiftAndLeavesOutAMissingBias) {
  Parts parts = chain();
  parts.layers[0].bias = false;
  parts.layers[1].kind = LayerKind::layer_norm;
  const OpGraph graph = build(parts);
  EXPECT_EQ(graph.parameter_count(), 12 + 6 + 8);
  EXPECT_THAT(graph.parameters_of(id(1)), ElementsAre(1, 2));
  EXPECT_EQ(graph.parameters()[1].role, Parameter::Role::gain);
  EXPECT_EQ(graph.parameters()[2].role, Parameter::Role::shift);
  EXPECT_EQ(graph.parameters()[2].columns, 3);
}

TEST(OpGraph, KnowsConsumersInOrderAndTwiceWhereTakenTwice) {
  Parts parts = chain();
  parts.layers[1] = {"sum", LayerKind::add, 3, 3};
  parts.inputs[1] = {id(0), id(0)};
  const OpGraph graph = build(parts);
  EXPECT_THAT(graph.consumers(kModelInput), ElementsAre(id(0)));
  EXPECT_THAT(graph.consumers(id(0)), ElementsAre(id(1), id(1)));
  EXPECT_THAT(graph.consumers(id(3)), IsEmpty());
  EXPECT_THAT(graph.inputs(id(1)), ElementsAre(id(0), id(0)));
}

TEST(OpGraph, HasTheClassesThatTheLossTakes) { EXPECT_EQ(build(chain()).classes(), 2); }

TEST(OpGraph, RejectsWidthsThatDisagree) {
  Parts parts = chain();
  parts.layers[2].in_features = 5;
  EXPECT_EQ(complaint(parts), "model m: layer fc2: expects 5 features, but relu1 has 3");
  parts = chain();
  parts.features = 7;
  EXPECT_EQ(complaint(parts), "model m: layer fc1: expects 4 features, but the input has 7");
  parts = chain();
  parts.layers[1].out_features = 6;
  EXPECT_EQ(complaint(parts), "model m: layer relu1: relu of 3 features has 3 output(s), got 6");
  parts = chain();
  parts.layers[3].out_features = 2;
  EXPECT_THAT(complaint(parts), HasSubstr("has 1 output(s), got 2"));
}

TEST(OpGraph, RejectsWidthsOutOfRange) {
  Parts parts = chain();
  parts.layers[0].out_features = -4;
  EXPECT_EQ(complaint(parts), "model m: layer fc1: expected 1 to 10000000 features, got -4");
  parts = chain();
  parts.layers[0].out_features = kMostFeatures + 1;
  EXPECT_THAT(complaint(parts), HasSubstr("got 10000001"));
  parts = chain();
  parts.features = 0;
  EXPECT_THAT(complaint(parts), HasSubstr("expected 1 to 10000000 input features, got 0"));
}

TEST(OpGraph, RejectsInputsThatAreMissing) {
  Parts parts = chain();
  parts.inputs[2] = {id(4)};
  EXPECT_EQ(complaint(parts), "model m: layer fc2: takes layer 4, which does not exist");
  parts.inputs[2] = {id(-2)};
  EXPECT_EQ(complaint(parts), "model m: layer fc2: takes layer -2, which does not exist");
  parts.inputs[2] = {};
  EXPECT_EQ(complaint(parts), "model m: layer fc2: linear takes 1 input(s), got 0");
  parts.inputs.pop_back();
  EXPECT_EQ(complaint(parts), "model m: has 4 layers, but inputs of 3");
}

TEST(OpGraph, RejectsTheWrongNumberOfInputs) {
  Parts parts = chain();
  parts.layers[1].kind = LayerKind::add;
  EXPECT_EQ(complaint(parts), "model m: layer relu1: add takes 2 input(s), got 1");
}

// fc1 (4 -> 4) takes relu1, which takes fc1.
TEST(OpGraph, RejectsACycleAndNamesItsLayers) {
  Parts parts = chain();
  parts.layers[0] = {"fc1", kLinear, 3, 3};
  parts.inputs[0] = {id(1)};
  EXPECT_EQ(complaint(parts), "model m: layer fc1: takes relu1, which depends on it: a cycle");
  parts.inputs[0] = {id(0)};
  EXPECT_EQ(complaint(parts), "model m: layer fc1: takes fc1, which depends on it: a cycle");
}

TEST(OpGraph, RejectsLayersOutOfOrderAndTellsThatItIsNoCycle) {
  Parts parts = chain();
  std::swap(parts.layers[0], parts.layers[1]);
  parts.inputs = {{id(1)}, {kModelInput}, {id(0)}, {id(2)}};
  EXPECT_EQ(complaint(parts),
            "model m: layer relu1: takes fc1, which comes later; list layers in topological order");
}

// fc2 takes fc1 past relu1, so that relu1 leads nowhere.
TEST(OpGraph, RejectsAnOutputThatIsNeverUsed) {
  Parts parts = chain();
  parts.inputs[2] = {id(0)};
  EXPECT_EQ(complaint(parts), "model m: layer relu1: its output is never used for the loss");
}

TEST(OpGraph, RejectsALossThatIsNotLastOrMissing) {
  Parts parts = chain();
  parts.layers.pop_back();
  parts.inputs.pop_back();
  EXPECT_EQ(complaint(parts),
            "model m: layer fc2: the last layer must be the loss, softmax_cross_entropy");
  parts = chain();
  parts.layers[2] = {"early", kLoss, 3, 1};
  parts.layers[3].in_features = 1;
  EXPECT_EQ(complaint(parts), "model m: layer early: the loss must be the last layer");
}

TEST(OpGraph, RejectsNamesThatAreEmptyReservedOrTakenTwice) {
  Parts parts = chain();
  parts.layers[2].name = "fc1";
  EXPECT_EQ(complaint(parts), "model m: layer fc1: an earlier layer has the same name");
  parts.layers[2].name = "";
  EXPECT_EQ(complaint(parts), "model m: layer 2 has no name");
  parts.layers[2].name = "input";
  EXPECT_THAT(complaint(parts), HasSubstr("'input' names the model's input"));
}

TEST(OpGraph, RejectsNoLayersAndTooMany) {
  EXPECT_EQ(complaint({}), "model m: has no layers");
  Parts parts;
  parts.layers.resize(kMostLayers + 1);
  parts.inputs.resize(kMostLayers + 1);
  EXPECT_EQ(complaint(parts), "model m: expected at most 50000 layers, got 50001");
}

TEST(OpGraph, KeepsItsComplaintOnOneLine) {
  Parts parts = chain();
  parts.layers[2].name = "a\nb";
  parts.layers[2].in_features = 5;
  EXPECT_EQ(complaint(parts).find('\n'), std::string::npos);
}

TEST(LayerKind, NamesComeBackAsTheKindTheyName) {
  for (const LayerKind kind : {LayerKind::linear, LayerKind::relu, LayerKind::gelu,
                               LayerKind::layer_norm, LayerKind::add, kLoss}) {
    EXPECT_EQ(layer_kind_named(name(kind)), kind);
  }
  EXPECT_EQ(name(LayerKind::layer_norm), "layer_norm");
  EXPECT_EQ(layer_kind_named("Linear"), std::nullopt);
}

}  // namespace
}  // namespace foreplan
