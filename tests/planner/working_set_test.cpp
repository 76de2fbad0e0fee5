#include "planner/working_set.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/units.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

constexpr std::optional<std::size_t> kEntering{};

/// up (10 out of 4) -> activation -> down (4); each keeps its input.
WorkingUnit mlp_unit() {
  WorkingUnit unit{.layers = std::vector<WorkingLayer>(3), .items = {}, .entering = 4_B};
  unit.layers[0].output = unit.layers[1].output = 10_B;
  unit.layers[2].output = 4_B;
  unit.layers[0].inputs = {kEntering};
  unit.layers[1].inputs = {std::size_t{0}};
  unit.layers[2].inputs = {std::size_t{1}};
  unit.items = {{.bytes = 4_B, .owner = 0, .tensor = kEntering},
                {.bytes = 10_B, .owner = 1, .tensor = std::optional<std::size_t>(0)},
                {.bytes = 10_B, .owner = 2, .tensor = std::optional<std::size_t>(1)}};
  return unit;
}

// Forward ends with all 24 that it keeps and down's output of 4. Backward begins with the gradient of that,
// makes one of 10 beside it, and by the next gradient has freed 10 of what was kept.
TEST(WorkingSet, MatchesAHandComputedCase) {
  const WorkingSet set = working_set(mlp_unit());
  EXPECT_EQ(set.forward, 4_B);
  EXPECT_THAT(set.forward_tensors, ElementsAre(4_B));
  EXPECT_EQ(set.backward, 14_B);
  EXPECT_THAT(set.backward_tensors, ElementsAre(10_B, 4_B));
}

// Forward of the activation: 24 kept by then, 20 beside. Backward of up, when 20 are free again: gradients of
// 10 and 4 and a temporary of 30, 44 - 20.
TEST(WorkingSet, CountsTemporariesWhereTheyAre) {
  WorkingUnit unit = mlp_unit();
  unit.layers[1].forward_temporary = {20_B};
  unit.layers[0].backward_temporary = {30_B};
  const WorkingSet set = working_set(unit);
  EXPECT_EQ(set.forward, 20_B);
  EXPECT_EQ(set.backward, 24_B);
  EXPECT_THAT(set.backward_tensors, ElementsAre(24_B));
}

// Nothing is kept. Forward: up and its activation, 10 each, once what entered has gone; before that 4 + 10.
TEST(WorkingSet, LetsGoOfWhatNobodyReadsAnyMore) {
  WorkingUnit unit = mlp_unit();
  unit.items.clear();
  EXPECT_EQ(working_set(unit).forward, 20_B);
}

// x + linear(norm(x)), all of 4: the sum's gradient is that of x and of linear's output, one tensor, which
// lives until x has its second gradient: with that of norm's output and the new one 12.
TEST(WorkingSet, HandsOnTheGradientOfASum) {
  WorkingUnit unit{.layers = std::vector<WorkingLayer>(3), .items = {}, .entering = 4_B};
  for (WorkingLayer& layer : unit.layers) layer.output = 4_B;
  unit.layers[0].inputs = {kEntering};
  unit.layers[1].inputs = {std::size_t{0}};
  unit.layers[2].inputs = {std::size_t{1}, kEntering};
  unit.layers[2].passes_gradient = true;
  EXPECT_EQ(working_set(unit).backward, 12_B);
}

// Logits of 10 are kept, and their gradient takes their place: down's input has one of 4.
TEST(WorkingSet, MakesNoGradientInPlace) {
  WorkingUnit unit{.layers = std::vector<WorkingLayer>(2), .items = {}, .entering = 4_B};
  unit.layers[0] = {.output = 10_B, .inputs = {kEntering}};
  unit.layers[1] = {.output = 0_B, .inputs = {std::size_t{0}}, .in_place = true};
  unit.items = {{.bytes = 10_B, .owner = 1, .tensor = std::optional<std::size_t>(0)}};
  EXPECT_EQ(working_set(unit).backward, 0_B);
  unit.layers[1].in_place = false;
  EXPECT_EQ(working_set(unit).backward, 10_B);
}

TEST(WorkingSet, IsNothingWithoutLayers) {
  EXPECT_EQ(working_set({}).forward, 0_B);
  EXPECT_EQ(working_set({}).backward, 0_B);
}

}  // namespace
}  // namespace foreplan
