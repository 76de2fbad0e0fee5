#include "sim/layer_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

ProfiledLayer layer(std::int64_t micro_batch, LayerTimes times) {
  return {.model = "gpt", .layer = "layer", .tp = 2, .micro_batch = micro_batch, .times = times};
}

LayerTable two_sizes() {
  LayerTable table;
  table.add(layer(2, {.forward = 10us, .backward = 20us, .update = 5us}));
  table.add(layer(6, {.forward = 18us, .backward = 44us, .update = 7us}));
  return table;
}

LayerKey key(std::int64_t micro_batch, int tp = 2) {
  return {.model = "gpt", .layer = "layer", .tp = tp, .micro_batch = micro_batch};
}

TEST(LayerTable, TellsWhatWasMeasured) {
  EXPECT_EQ(two_sizes().times(key(2)), (LayerTimes{10us, 20us, 5us}));
  EXPECT_EQ(two_sizes().times(key(6)), (LayerTimes{18us, 44us, 7us}));
}

// 3 is a quarter of the way from 2 to 6: 10 + 8/4, 20 + 24/4; the update is the nearer one's. So is that of 4,
// halfway, the smaller one's; that of 5 is the larger one's.
TEST(LayerTable, LiesOnTheLineBetweenMicroBatches) {
  EXPECT_EQ(two_sizes().times(key(3)), (LayerTimes{12us, 26us, 5us}));
  EXPECT_EQ(two_sizes().times(key(4)), (LayerTimes{14us, 32us, 5us}));
  EXPECT_EQ(two_sizes().times(key(5)), (LayerTimes{16us, 38us, 7us}));
}

TEST(LayerTable, IsInProportionBeyondThem) {
  EXPECT_EQ(two_sizes().times(key(1)), (LayerTimes{5us, 10us, 5us}));
  EXPECT_EQ(two_sizes().times(key(12)), (LayerTimes{36us, 88us, 7us}));
}

TEST(LayerTable, TellsNothingOfOtherLayersAndDegrees) {
  EXPECT_FALSE(two_sizes().times(key(2, 4)).has_value());
  EXPECT_FALSE(two_sizes().times({.model = "gpt", .layer = "head", .tp = 2}).has_value());
  EXPECT_FALSE(two_sizes().times({.model = "bert", .layer = "layer", .tp = 2}).has_value());
}

TEST(LayerTable, RefusesALayerTwice) {
  LayerTable table = two_sizes();
  EXPECT_THAT(
      [&] { table.add(layer(2, {})); },
      testing::ThrowsMessage<Error>("profile: expected each layer once, got layer of gpt with "
                                    "tp 2, micro-batch 2 twice"));
}

}  // namespace
}  // namespace foreplan
