#include "planner/tensor_split.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace foreplan {
namespace {

using ::testing::ElementsAre;

/// Linear 4 to 8, a layer of `kind`, linear 8 to 6, the loss.
OpGraph between_products(LayerKind kind, const LayerShape& shape = {}) {
  OpGraphParts parts{
      .name = "mlp",
      .input_features = 4,
      .input_positions = {},
      .layers = {{.name = "up", .kind = LayerKind::linear, .in_features = 4, .out_features = 8},
                 {.name = "mid", .kind = kind, .in_features = 8, .out_features = 8, .shape = shape},
                 {.name = "down", .kind = LayerKind::linear, .in_features = 8, .out_features = 6},
                 {.name = "loss",
                  .kind = LayerKind::softmax_cross_entropy,
                  .in_features = 6,
                  .out_features = 1}},
      .inputs = {{kModelInput}, {LayerId{0}}, {LayerId{1}}, {LayerId{2}}},
      .blocks = {},
      .runs = {}};
  return OpGraph{std::move(parts)};
}

std::vector<Sharding> split(const OpGraph& graph) {
  return split_tensors(graph, LayerId{0}, LayerId{3}, 2);
}

const auto kPair =
    ElementsAre(Sharding::column, Sharding::split, Sharding::row, Sharding::replicated);
// The vocabulary alone.
const auto kWhole =
    ElementsAre(Sharding::replicated, Sharding::replicated, Sharding::column, Sharding::split);

TEST(SplitTensors, CutsAPairOfProductsAroundAnActivation) {
  for (const LayerKind kind : {LayerKind::relu, LayerKind::silu, LayerKind::relu_squared}) {
    EXPECT_THAT(split(between_products(kind)), kPair) << name(kind);
  }
}

// A norm over all features needs them all; one of heads apart does not, with or without a gain.
TEST(SplitTensors, CutsNormsByHeadsAlone) {
  EXPECT_THAT(split(between_products(LayerKind::rms_norm)), kWhole);
  EXPECT_THAT(split(between_products(LayerKind::rms_norm, NormShape{.gain = false})), kWhole);
  const OpGraph heads =
      between_products(LayerKind::rms_norm, NormShape{.groups = 4, .gain = false});
  EXPECT_THAT(split(heads), kPair);
  const Layer mine = sharded(heads.layer(LayerId{1}), Sharding::split, 2);
  EXPECT_EQ(mine.in_features, 4);
  EXPECT_EQ(std::get<NormShape>(mine.shape).groups, 2);
  EXPECT_FALSE(std::get<NormShape>(mine.shape).gain);
}

}  // namespace
}  // namespace foreplan
