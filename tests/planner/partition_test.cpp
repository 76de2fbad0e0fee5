#include "planner/partition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<Duration> durations(const std::vector<int>& microseconds) {
  std::vector<Duration> times;
  for (const int us : microseconds) times.emplace_back(std::chrono::microseconds(us));
  return times;
}

// fc1 relu1 fc2 relu2 fc3: one tensor crosses at each of the four places.
TEST(Cuts, AllowsEveryPlaceOfAChain) {
  EXPECT_THAT(cuts(mlp({4, 4, 4, 4})), ElementsAre(true, true, true, true));
}

// enter | relu inner sum | head: within the block the output of enter passes by as well.
TEST(Cuts, AvoidsTheInsideOfAResidualBlock) {
  EXPECT_THAT(cuts(residual(4)), ElementsAre(true, false, false, true));
}

// left right join | norm ... : right reads the samples beside the output of left. From join to sum the
// output of join passes by, but between join and norm it is alone.
TEST(Cuts, CountsTheSamplesAsATensor) {
  EXPECT_THAT(cuts(every_kind(4)),
              ElementsAre(false, false, true, false, false, false, false, true, true));
}

TEST(Cuts, AreNoneInOneLayer) { EXPECT_THAT(cuts(mlp({4, 2})), IsEmpty()); }

TEST(CheckCuts, NamesTheLayersOfAnIllegalCut) {
  EXPECT_EQ(
      complaint([] {
        check_cuts(residual(4), {2, 3});
      }),
      "strategy: layers: stages cannot be cut between 'relu' and 'inner': more than one tensor "
      "crosses there");
  EXPECT_EQ(complaint([] { check_cuts(residual(4), {1, 3, 1}); }), "no complaint");
}

TEST(StagesOfLayers, PutsTheLossIntoTheLastStage) {
  EXPECT_THAT(stages_of_layers(mlp({4, 4, 4}), {1, 2}), ElementsAre(0, 1, 1, 1));
}

TEST(AllPartitions, ListsThemInLexicographicOrder) {
  EXPECT_THAT(all_partitions(mlp({4, 4, 4, 4}), 3, 100),
              ElementsAre(ElementsAre(1, 1, 3), ElementsAre(1, 2, 2), ElementsAre(1, 3, 1),
                          ElementsAre(2, 1, 2), ElementsAre(2, 2, 1), ElementsAre(3, 1, 1)));
}

TEST(AllPartitions, UsesLegalCutsOnly) {
  EXPECT_THAT(all_partitions(residual(4), 2, 100),
              ElementsAre(ElementsAre(1, 4), ElementsAre(4, 1)));
  EXPECT_THAT(all_partitions(residual(4), 3, 100), ElementsAre(ElementsAre(1, 3, 1)));
  EXPECT_THAT(all_partitions(residual(4), 4, 100), IsEmpty());
}

/// n over k.
std::size_t choose(std::size_t n, std::size_t k) {
  std::size_t result = 1;
  for (std::size_t i = 1; i <= k; ++i) result = result * (n - k + i) / i;
  return result;
}

// p - 1 of the n - 1 places between the layers of a chain.
TEST(AllPartitions, OfAChainAreAsManyAsTheWaysToChooseItsCuts) {
  const OpGraph model = mlp({4, 4, 4, 4, 4, 4});
  const std::size_t n = model.size() - 1;
  for (std::size_t p = 1; p <= n; ++p) {
    EXPECT_THAT(all_partitions(model, static_cast<int>(p), 1000), SizeIs(choose(n - 1, p - 1)));
  }
}

// 6 partitions of 5 layers into 3: listed where 6 are allowed, none where only 5 are.
TEST(AllPartitions, AreNoneWhereThereAreTooMany) {
  EXPECT_THAT(all_partitions(mlp({4, 4, 4, 4}), 3, 6), SizeIs(6));
  EXPECT_THAT(all_partitions(mlp({4, 4, 4, 4}), 3, 5), IsEmpty());
}

// 1 2 3 | 4 | 5 has stages of 6, 4 and 5; every other cut has one of at least 7.
TEST(BalancedPartition, MatchesAHandComputedCase) {
  EXPECT_THAT(balanced_partition(mlp({4, 4, 4, 4}), durations({1, 2, 3, 4, 5}), 3),
              ElementsAre(3, 1, 1));
}

TEST(BalancedPartition, TakesTheShortestFirstStageOfEqualsAndBalancesTheRest) {
  // 10 alone decides, whatever the cut.
  EXPECT_THAT(balanced_partition(mlp({4, 4, 4, 4}), durations({0, 10, 0, 0, 0}), 2),
              ElementsAre(1, 4));
  // 9 | 1 | 2 1 1 and others tie at 9; behind the 9 the stages of 2 + 1 and 1 + 1 are the fastest.
  EXPECT_THAT(balanced_partition(mlp({4, 4, 4, 4}), durations({9, 1, 2, 1, 1}), 3),
              ElementsAre(1, 2, 2));
  EXPECT_THAT(balanced_partition(mlp({4, 4, 4, 4}), durations({0, 0, 0, 0, 0}), 3),
              ElementsAre(1, 1, 3));
}

/// What partitions are compared by: the slowest stage, then the length of the first; then both of what
/// is left without the first stage; and so on.
std::vector<std::int64_t> rank_of(const std::vector<int>& layers,
                                  const std::vector<Duration>& times) {
  std::vector<std::int64_t> rank;
  auto layer = times.end();
  std::int64_t slowest = 0;
  for (auto count = layers.rbegin(); count != layers.rend(); ++count) {
    std::int64_t sum = 0;
    for (int i = 0; i < *count; ++i) sum += (--layer)->count();
    slowest = std::max(slowest, sum);
    rank.insert(rank.begin(), {slowest, *count});
  }
  return rank;
}

TEST(BalancedPartition, IsTheBestOfAllPartitions) {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> microseconds(0, 9);  // few values, so that there are ties
  for (const OpGraph& model : {mlp({4, 4, 4, 4, 4, 4}), every_kind(4)}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<int> times(model.size() - 1);
      std::generate(times.begin(), times.end(), [&] { return microseconds(random); });
      for (int stages = 1; stages <= 4; ++stages) {
        const auto all = all_partitions(model, stages, 1000);
        const auto best =
            std::min_element(all.begin(), all.end(), [&](const auto& a, const auto& b) {
              return rank_of(a, durations(times)) < rank_of(b, durations(times));
            });
        ASSERT_NE(best, all.end());
        EXPECT_EQ(balanced_partition(model, durations(times), stages), *best);
      }
    }
  }
}

TEST(BalancedPartition, RefusesMoreStagesThanLegalCutsAllow) {
  EXPECT_EQ(complaint([] {
              balanced_partition(residual(4), durations({1, 1, 1, 1, 1}), 4);
            }),
            "strategy: test-model cannot be cut into 4 stages");
}

}  // namespace
}  // namespace foreplan
