#include "planner/partition_space.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

UnitChain gpt(std::int64_t layers) { return unit_chain(hand_made_gpt({.layers = layers})); }

WeightSums sums_of(const std::vector<std::int64_t>& each) {
  WeightSums sums{0};
  for (const std::int64_t one : each) sums.push_back(sums.back() + one);
  return sums;
}

// Embedding, four layers, head: units 0 to 5; a border lies behind layer 1, 2 or 3.
TEST(PartitionSpace, ListsAllPartitionsOfAShortChain) {
  const UnitChain chain = gpt(4);
  const PartitionSpace two(chain, 2, false);
  EXPECT_EQ(two.count(), 3);
  EXPECT_THAT(two.listed(),
              ElementsAre(ElementsAre(0, 2, 6), ElementsAre(0, 3, 6), ElementsAre(0, 4, 6)));
  EXPECT_EQ(PartitionSpace(chain, 1, false).count(), 1);
  EXPECT_EQ(PartitionSpace(chain, 4, false).count(), 1);
  EXPECT_EQ(most_stages(chain), 4);
}

// 95 over 3 = 138,415 partitions into four.
TEST(PartitionSpace, NamesAFamilyWhereThereAreTooMany) {
  const UnitChain chain = gpt(96);
  const PartitionSpace four(chain, 4, false);
  EXPECT_THAT(four.listed(), IsEmpty());
  EXPECT_EQ(four.count(), 4);
  EXPECT_THAT(four.even(), ElementsAre(0, 25, 49, 73, 98));
  EXPECT_THAT(PartitionSpace(chain, 2, false).listed(), SizeIs(95));
}

// 96 layers in 32 chunks of 3; 98 in 32: two of 4, the first and the last one less; 97: one of 4, the last one
// less; 98 again, the last two less.
TEST(PartitionSpace, MakesEndsLighterWhereStagesHaveChunks) {
  const UnitChain chain = gpt(96);
  const PartitionSpace chunks(chain, 32, true);
  ASSERT_EQ(chunks.count(), 4);
  const auto ends = [&](std::size_t i) {
    const std::vector<int> layers = layers_of(chain, chunks.listed()[i]);
    EXPECT_EQ(std::accumulate(layers.begin(), layers.end(), 0), 96);
    return std::vector<int>{layers[0], layers[1], layers[2], layers[31]};
  };
  EXPECT_THAT(ends(0), ElementsAre(3, 3, 3, 3));
  EXPECT_THAT(ends(1), ElementsAre(3, 4, 3, 2));
  EXPECT_THAT(ends(2), ElementsAre(4, 3, 3, 2));
  EXPECT_THAT(ends(3), ElementsAre(4, 4, 3, 1));
}

TEST(PartitionSpace, CutsOnlyWhereOneTensorCrosses) {
  // enter, relu, inner, sum, head: only sum's output and enter's go on alone; enter's is read twice.
  const UnitChain chain = unit_chain(residual(7));
  EXPECT_EQ(most_stages(chain), 3);
}

TEST(Borders, AreLayersAndBack) {
  const UnitChain chain = gpt(6);
  const std::vector<int> layers{1, 3, 2};
  const Borders borders = borders_of(chain, layers);
  EXPECT_THAT(borders, ElementsAre(0, 2, 5, 8));
  EXPECT_EQ(layers_of(chain, borders), layers);
}

// Units weigh 3, 1 1 1 1, 2: into two at best 4 and 5 (3 + 1 | 1 1 1 2) or 5 and 4.
TEST(Balance, FindsTheLightestHeaviestStage) {
  const WeightSums sums = sums_of({3, 1, 1, 1, 1, 2});
  const std::vector<StageWeight> weights(2, StageWeight{&sums});
  const BalancedPartition found = balance(gpt(4), weights);
  EXPECT_THAT(found.front, ElementsAre(0, 3, 6));
  EXPECT_THAT(found.back, ElementsAre(0, 2, 6));
}

// A stage that counts a unit twice gets fewer: 3 + 2 a | b with weights 1, 1 1 1 1, 1 and twice on the first:
// 2 + 2 | 1 1 1 1: 4 and 4.
TEST(Balance, TakesWeightsByStage) {
  const WeightSums sums = sums_of({1, 1, 1, 1, 1, 1});
  const std::vector<StageWeight> weights{{&sums, &sums, 1}, {&sums}};
  EXPECT_THAT(balance(gpt(4), weights).front, ElementsAre(0, 2, 6));
}

TEST(Balance, IsNoHeavierThanAnyPartition) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const UnitChain chain = gpt(3 + round % 6);
    std::vector<std::int64_t> each;
    for (std::size_t i = 0; i < chain.units.size(); ++i) each.push_back(1 + random() % 20);
    const WeightSums sums = sums_of(each);
    const int stages = 2 + round % 2;
    const auto heaviest = [&](const Borders& borders) {
      std::int64_t most = 0;
      for (std::size_t s = 0; s + 1 < borders.size(); ++s) {
        most = std::max(most, sums[static_cast<std::size_t>(borders[s + 1])] -
                                  sums[static_cast<std::size_t>(borders[s])]);
      }
      return most;
    };
    const std::vector<StageWeight> weights(static_cast<std::size_t>(stages), StageWeight{&sums});
    const BalancedPartition found = balance(chain, weights);
    EXPECT_EQ(heaviest(found.front), heaviest(found.back));
    const PartitionSpace space(chain, stages, false);
    for (const Borders& other : space.listed()) {
      EXPECT_LE(heaviest(found.front), heaviest(other));
    }
  }
}

}  // namespace
}  // namespace foreplan
