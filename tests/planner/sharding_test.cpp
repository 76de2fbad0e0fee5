#include "planner/sharding.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr auto kWhole = Sharding::replicated;
constexpr auto kColumn = Sharding::column;
constexpr auto kRow = Sharding::row;
constexpr auto kGather = Sharding::column_gather;
constexpr auto kSplit = Sharding::split;

TEST(Shard, LeavesAllWholeOnOneRank) { EXPECT_THAT(shard(every_kind(24), 1), Each(kWhole)); }

TEST(Shard, CutsAPairByColumnsThenRows) {
  EXPECT_THAT(shard(mlp({8, 4, 6}), 2), ElementsAre(kColumn, kSplit, kRow, kWhole));
}

// fc1 and fc2 are a pair. fc3 and fc4 are the next one: the ReLU between the pairs is done whole, on
// what the all-reduce of fc2 left on every rank.
TEST(Shard, CutsFourLayersAsTwoPairs) {
  EXPECT_THAT(shard(mlp({8, 8, 8, 8, 8}), 4),
              ElementsAre(kColumn, kSplit, kRow, kWhole, kColumn, kSplit, kRow, kWhole));
}

// The third of three linear layers has no partner left.
TEST(Shard, GathersALinearLayerWithoutAPartner) {
  EXPECT_THAT(shard(mlp({8, 8, 8, 8}), 2),
              ElementsAre(kColumn, kSplit, kRow, kWhole, kGather, kWhole));
  EXPECT_THAT(shard(mlp({8, 4}), 2), ElementsAre(kGather, kWhole));
}

// Two layers read the output of `enter`, so it is put together; `inner` ends in a sum, not in a linear
// layer, and `head` in the loss.
TEST(Shard, GathersWhatMoreThanOneLayerReads) {
  EXPECT_THAT(shard(residual(8), 2),
              ElementsAre(kGather, kWhole, kGather, kWhole, kGather, kWhole));
}

// up and down are the only pair; join, norm, sum and relu are whole.
TEST(Shard, FindsThePairInsideAResidualBlock) {
  EXPECT_THAT(shard(every_kind(24), 3), ElementsAre(kGather, kGather, kWhole, kWhole, kColumn,
                                                    kSplit, kRow, kWhole, kWhole, kGather, kWhole));
}

TEST(Shard, PairsLinearLayersThatFollowEachOtherAtOnce) {
  ModelBuilder builder(4);
  builder.linear("second", builder.linear("first", kModelInput, 6), 5);
  EXPECT_THAT(shard(std::move(builder).build(), 3), ElementsAre(kColumn, kRow, kWhole));
}

TEST(Shard, NamesTheLayerWhoseWidthDoesNotDivide) {
  // 10 outputs are no trouble where the layer is cut by rows: its 128 inputs count.
  EXPECT_THAT(shard(mnist_mlp(), 4), ElementsAre(kColumn, kSplit, kRow, kWhole));
  EXPECT_EQ(complaint([] {
              shard(mlp({784, 128, 64, 10}), 4);
            }),
            "strategy: tp=4 does not divide the 10 output features of layer 'fc3'");
}

/// How often each element of `parameter` lies on some rank.
std::vector<int> coverage(const Parameter& parameter, Sharding sharding, int tp) {
  std::vector<int> times(static_cast<std::size_t>(parameter.rows * parameter.columns), 0);
  for (int t = 0; t < tp; ++t) {
    const ParameterShard part = parameter_shard(parameter, sharding, tp, t);
    EXPECT_EQ(part.elements(), part.rows * part.columns);
    for (std::int64_t row = part.row; row < part.row + part.rows; ++row) {
      for (std::int64_t column = part.column; column < part.column + part.columns; ++column) {
        ++times[static_cast<std::size_t>(row * parameter.columns + column)];
      }
    }
  }
  return times;
}

// A weight or bias that is cut lies on one rank; what each rank needs whole (a norm, the bias that is
// added after the all-reduce) lies on all.
TEST(ParameterShard, TilesEveryParameterOverAnyNumberOfRanks) {
  const OpGraph model = every_kind(24);
  for (const int tp : {1, 2, 3, 4, 6, 12}) {
    const std::vector<Sharding> shardings = shard(model, tp);
    for (const Parameter& parameter : model.parameters()) {
      const Sharding sharding = shardings[static_cast<std::size_t>(parameter.layer)];
      const bool added_once = sharding == kRow && parameter.role == Parameter::Role::bias;
      const bool on_all = sharding == kWhole || added_once;
      EXPECT_THAT(coverage(parameter, sharding, tp), Each(on_all ? tp : 1))
          << model.layer(parameter.layer).name << " tp=" << tp;
    }
  }
}

// W [6, 8] over 2 ranks: rank 1 has columns 4 to 7, or rows 3 to 5.
TEST(ParameterShard, MatchesAHandComputedCase) {
  const Parameter weight{.role = Parameter::Role::weight, .rows = 6, .columns = 8};
  const ParameterShard by_columns = parameter_shard(weight, kColumn, 2, 1);
  EXPECT_EQ(by_columns.column, 4);
  EXPECT_EQ(by_columns.columns, 4);
  EXPECT_EQ(by_columns.row, 0);
  EXPECT_EQ(by_columns.rows, 6);
  const ParameterShard by_rows = parameter_shard(weight, kRow, 2, 1);
  EXPECT_EQ(by_rows.row, 3);
  EXPECT_EQ(by_rows.rows, 3);
  EXPECT_EQ(by_rows.column, 0);
  EXPECT_EQ(by_rows.columns, 8);
}

}  // namespace
}  // namespace foreplan
