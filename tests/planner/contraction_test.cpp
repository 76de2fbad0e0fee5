#include "planner/contraction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "models/model_io.hpp"
#include "planner/partition.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

OpGraph zoo(const std::string& name) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo" / (name + ".json"));
}

/// By definition: everything that a unit behind the cut reads from before it is the last unit before it.
bool one_tensor_crosses(const UnitInputs& inputs, std::int32_t cut) {
  for (std::size_t u = static_cast<std::size_t>(cut) + 1; u < inputs.size(); ++u) {
    for (const std::int32_t input : inputs[u]) {
      if (input < cut) return false;
    }
  }
  return true;
}

// samples -> 0 -> 1 -> 3, 0 -> 2 -> 3 -> 4: behind 0 one tensor crosses, for both branches; behind 1 and 2
// two do; behind 3 one.
TEST(SingleTensorCuts, LieWhereBranchesMeet) {
  const UnitInputs diamond{{kSamples}, {0}, {0}, {1, 2}, {3}};
  EXPECT_THAT(single_tensor_cuts(diamond), ElementsAre(true, false, false, true));
  EXPECT_TRUE(single_tensor_cuts({}).empty());
  EXPECT_TRUE(single_tensor_cuts({{kSamples}}).empty());
}

// What reads the samples late keeps all before it from being cut.
TEST(SingleTensorCuts, DoNotPassTheSamplesOn) {
  EXPECT_THAT(single_tensor_cuts({{kSamples}, {0}, {1, kSamples}, {2}}),
              ElementsAre(false, false, true));
}

// Random graphs in topological order, each unit read by a later one.
TEST(SingleTensorCuts, AreThoseOfTheDefinition) {
  std::mt19937 random(7);
  int cut = 0, whole = 0;
  for (int graph = 0; graph < 3000; ++graph) {
    const int units = 2 + static_cast<int>(random() % 12);
    UnitInputs inputs(static_cast<std::size_t>(units));
    for (int u = 0; u < units; ++u) {
      inputs[static_cast<std::size_t>(u)].push_back(u - 1);  // all but the last are read
      if (random() % 3 == 0) {
        inputs[static_cast<std::size_t>(u)].push_back(static_cast<int>(random() % (u + 1)) - 1);
      }
    }
    const std::vector<bool> found = single_tensor_cuts(inputs);
    ASSERT_EQ(found.size(), inputs.size() - 1);
    for (std::int32_t i = 0; i + 1 < units; ++i) {
      ASSERT_EQ(found[static_cast<std::size_t>(i)], one_tensor_crosses(inputs, i)) << graph;
      (found[static_cast<std::size_t>(i)] ? cut : whole) += 1;
    }
  }
  EXPECT_GT(cut, 1000);
  EXPECT_GT(whole, 1000);
}

// Every network of the zoo whose layers are listed one by one: convolutional ones and perceptrons. What is cut
// by layers (planner/partition.hpp) is cut at the same places; the loss stays with the layer before.
TEST(SingleTensorCuts, AreThoseOfTheDefinitionInEveryFlatNetworkOfTheZoo) {
  int compared = 0;
  const auto folder = std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const OpGraph model = read_model(entry.path());
    if (!model.flat()) continue;
    const UnitInputs inputs = unit_inputs(model, unit_chain(model));
    std::vector<bool> found = single_tensor_cuts(inputs);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i], one_tensor_crosses(inputs, static_cast<std::int32_t>(i))) << model.name();
    }
    ASSERT_TRUE(found.back()) << model.name();
    found.pop_back();
    EXPECT_EQ(found, cuts(model)) << model.name();
    ++compared;
  }
  EXPECT_GE(compared, 15);  // ResNets, ResNeXts, VGGs, DenseNet, Inception, AlexNet and perceptrons
}

// Every layer of a decoder reads what the encoder put out: only the encoder, and the place behind it, can be
// cut. t5-small: an embedding, 6 layers, the last norm; then the decoder's embedding and 6 layers, and the head.
TEST(SingleTensorCuts, LieInTheEncoderOnly) {
  const OpGraph t5 = zoo("t5-small");
  const UnitChain chain = unit_chain(t5);
  const std::vector<bool> found = single_tensor_cuts(unit_inputs(t5, chain));
  std::int32_t first_false = 0;
  while (found[static_cast<std::size_t>(first_false)]) ++first_false;
  int layers_before = 0;
  for (std::int32_t u = 0; u < first_false; ++u) {
    const auto unit_class = static_cast<std::size_t>(chain.units[static_cast<std::size_t>(u)]);
    layers_before += chain.classes[unit_class].role == BlockRole::layer ? 1 : 0;
  }
  EXPECT_EQ(layers_before, 6);
  // Behind the decoder's last layer nothing is left of the encoder.
  EXPECT_TRUE(found.back());
}

TEST(SingleTensorCuts, LieBehindEveryBlockOfADecoder) {
  for (const char* name : {"gpt2", "mixtral-8x7b", "vit-b-16"}) {
    const OpGraph model = zoo(name);
    const std::vector<bool> found = single_tensor_cuts(unit_inputs(model, unit_chain(model)));
    EXPECT_EQ(std::count(found.begin(), found.end(), false), 0) << name;
  }
}

// Behind BERT's pooler, which reads the last layer, the head reads both: only there more than one tensor crosses.
TEST(SingleTensorCuts, DoNotLieBetweenAPoolerAndTheHead) {
  const OpGraph bert = zoo("bert-base");
  std::vector<bool> expected(unit_chain(bert).cuts.size(), true);
  expected.back() = false;
  EXPECT_EQ(single_tensor_cuts(unit_inputs(bert, unit_chain(bert))), expected);
}

}  // namespace
}  // namespace foreplan
