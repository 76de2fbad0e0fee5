#include "planner/end_stages.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

/// An embedding, so many layers that are alike, a head.
UnitChain chain_of(std::int32_t layers) {
  UnitChain chain;
  for (const BlockRole role : {BlockRole::embedding, BlockRole::layer, BlockRole::head}) {
    chain.classes.push_back({.range = {}, .role = role});
  }
  chain.units.push_back(0);
  chain.units.insert(chain.units.end(), static_cast<std::size_t>(layers), 1);
  chain.units.push_back(2);
  chain.cuts.assign(chain.units.size() - 1, true);
  chain.first_layer = 1;
  chain.layers = layers;
  return chain;
}

// The embedding weighs 5, a layer 7, the head 11. Two stages of two chunks, a layer each: units [0, 2) and
// [3, 4) are of the first, [2, 3) and [4, 6) of the last.
TEST(EndStages, AddUpWhatTheEndsDo) {
  const auto found = end_stages(chain_of(4), {{0, 2, 3, 4, 6}}, 2);
  ASSERT_EQ(found.size(), 1);
  const EndStages& ends = found.front();
  const WeightSums weights{0, 5, 12, 19, 26, 33, 44};
  EXPECT_EQ(ends.before.of(weights), 5 + 7);
  EXPECT_EQ(ends.chunk.of(weights), 5 + 7);
  EXPECT_EQ(ends.first.all.of(weights), 5 + 2 * 7);
  EXPECT_EQ(ends.first.firsts.of(weights), 5 + 7);
  EXPECT_EQ(ends.first.lasts.of(weights), 7 + 7);
  EXPECT_EQ(ends.last.all.of(weights), 2 * 7 + 11);
  EXPECT_EQ(ends.last.firsts.of(weights), 7 + 7);
  EXPECT_EQ(ends.last.lasts.of(weights), 7 + 11);
}

// Seven layers in six chunks of two stages: whether the second or the third chunk of the first stage has two,
// its ends do the same; where its first one has, its last backward is longer; where the last stage has, it is
// that which does more.
TEST(EndStages, AreToldOnceWherePartitionsDifferInBetween) {
  const UnitChain chain = chain_of(7);
  const auto borders = [&](const std::vector<int>& layers) { return borders_of(chain, layers); };
  const Borders first = borders({2, 1, 1, 1, 1, 1}), second = borders({1, 1, 2, 1, 1, 1}),
                third = borders({1, 1, 1, 1, 2, 1}), last = borders({1, 1, 1, 2, 1, 1});
  EXPECT_EQ(end_stages(chain, {second, third}, 2).size(), 1);
  EXPECT_EQ(end_stages(chain, {first, second, third, last}, 2).size(), 3);
  EXPECT_EQ(end_stages(chain, {last, third, first, second}, 2),
            end_stages(chain, {first, second, third, last}, 2));
  EXPECT_TRUE(end_stages(chain, {}, 2).empty());
}

}  // namespace
}  // namespace foreplan
