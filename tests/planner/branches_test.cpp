#include "planner/branches.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "models/model_io.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

OpGraph zoo(const std::string& name) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo" / (name + ".json"));
}

TEST(Stretches, OfAChainAreItsLayers) {
  const OpGraph model = mlp({4, 4, 4, 2});
  const std::vector<Stretch> found = stretches(model);
  EXPECT_EQ(found.size(), model.size());
  for (const Stretch& stretch : found) EXPECT_EQ(stretch.size(), 1);
  EXPECT_EQ(most_branches(found), 1);
}

// enter | relu inner sum | head | loss: the sum reads inner, and what enters. Nothing is at work beside anything.
TEST(Stretches, ReachFromOneTensorToTheNext) {
  const std::vector<Stretch> found = stretches(residual(4));
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[1].first, 1);
  EXPECT_THAT(found[1].inputs, ElementsAre(ElementsAre(-1), ElementsAre(0), ElementsAre(-1, 1)));
  EXPECT_EQ(found[1].width, 1);
  EXPECT_THAT(branches_of(found[1]), ElementsAre(0, 0, -1));
}

// Left and right read the samples, which enter nothing.
TEST(Stretches, MayBeginWithSeveralLayers) {
  const std::vector<Stretch> found = stretches(zoo("mlp-branches"));
  ASSERT_EQ(found.size(), 3U);
  EXPECT_THAT(found[0].inputs, ElementsAre(ElementsAre(), ElementsAre(0), ElementsAre(),
                                           ElementsAre(2), ElementsAre(1, 3)));
  EXPECT_EQ(found[0].width, 2);
  EXPECT_THAT(branches_of(found[0]), ElementsAre(0, 0, 1, 1, -1));
}

// Inception v3 ends in modules of four branches, two of which fork again: Szegedy et al., arXiv:1512.00567,
// figure 7. ResNet has a projection beside its blocks: He et al., arXiv:1512.03385, figure 2.
TEST(MostBranches, OfPublishedNetworks) {
  EXPECT_EQ(most_branches(stretches(zoo("inception-v3"))), 6);
  EXPECT_EQ(most_branches(stretches(zoo("resnet50"))), 2);
  EXPECT_EQ(most_branches(stretches(zoo("vgg11"))), 1);
  EXPECT_TRUE(stretches(hand_made_gpt({})).empty());
  EXPECT_EQ(most_branches({}), 1);
}

}  // namespace
}  // namespace foreplan
