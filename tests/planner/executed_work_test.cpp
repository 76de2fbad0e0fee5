#include "planner/executed_work.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/op_cost.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// One sample of 4 tokens, width 8, 2 heads: s b h = 32 numbers, h^2 = 64 weights. In fp16.
UnitSetting setting() { return {.lengths = {.source = 4}, .dtype = DType::fp16}; }

UnitWork block(const UnitSetting& setting) {
  static const OpGraph gpt = hand_made_gpt({});
  const Block& layers = gpt.blocks()[1];
  return lower_unit(gpt, {layers.first, layers.last}, setting);
}

const LayerWork& layer(const UnitWork& work, const char* name) {
  static const OpGraph gpt = hand_made_gpt({});
  for (const LayerWork& layer : work.layers) {
    if (gpt.layer(layer.layer).name == name) return layer;
  }
  throw std::logic_error(name);
}

std::vector<std::string> adds(const UnitWork& work) {
  static const OpGraph gpt = hand_made_gpt({});
  std::vector<std::string> names;
  for (const LayerWork& layer : work.layers) {
    for (const Op& op : layer.ops.backward_input) {
      if (op.key.op == "add") names.push_back(gpt.layer(layer.layer).name);
    }
  }
  return names;
}

// What enters the block is read by norm1 and sum1, the first sum by norm2 and sum2: two gradients of 32 numbers are
// added, where the later reader hands its own on. Query, key and value are one product.
TEST(ExecutedWork, AddsGradientsOfWhatSeveralLayersRead) {
  const UnitWork work = block(setting());
  EXPECT_THAT(adds(work), ElementsAre("sum1", "sum2"));
  EXPECT_THAT(layer(work, "sum1").ops.backward_input.back().key.shape, ElementsAre(32));
  // An addition reads two and writes one: 3 x 32 numbers of 2 bytes.
  EXPECT_EQ(layer(work, "sum1").ops.backward_input.back().traffic, 192_B);
}

// Three products of one tensor leave three gradients: two are added.
TEST(ExecutedWork, AddsGradientsOfProjectionsThatAreNotOneProduct) {
  UnitSetting apart = setting();
  apart.stack.kernels.fused_projections = false;
  EXPECT_THAT(adds(block(apart)), ElementsAre("k", "v", "sum1", "sum2"));
}

// With sequence parallelism each of two ranks adds half of the rows.
TEST(ExecutedWork, AddsTheRanksOwnPart) {
  UnitSetting split = setting();
  split.tp = 2;
  split.sp = true;
  EXPECT_THAT(layer(block(split), "sum1").ops.backward_input.back().key.shape, ElementsAre(16));
}

Bytes weight_traffic(const UnitWork& work) {
  Bytes sum;
  for (const LayerWork& layer : work.layers) {
    for (const Op& op : layer.ops.backward_weight) sum += op.traffic;
  }
  return sum;
}

std::size_t weight_kernels(const UnitWork& work) {
  std::size_t count = 0;
  for (const LayerWork& layer : work.layers) count += layer.ops.backward_weight.size();
  return count;
}

/// Weights, biases and norms of a block: 12 h^2 + 13 h.
constexpr std::int64_t kParameters = 12 * 64 + 13 * 8;

// Fused: the sum of 4 bytes is read and written instead of a gradient of 2 that is written: 6 bytes more for each
// parameter, and no kernel more.
TEST(ExecutedWork, AccumulatesInTheProducts) {
  const UnitWork at_once = block(setting());
  UnitSetting several = setting();
  several.accumulated_bytes = 4;
  const UnitWork work = block(several);
  EXPECT_EQ(weight_traffic(work) - weight_traffic(at_once), Bytes{6 * kParameters});
  EXPECT_EQ(weight_kernels(work), weight_kernels(at_once));
}

// Apart: the gradient of 2 bytes is read again, the sum read and written: 10 bytes, a kernel for each layer that has
// parameters: two norms, projection, up, down, and query, key and value.
TEST(ExecutedWork, AccumulatesBehindTheProducts) {
  UnitSetting several = setting();
  several.stack.kernels.fused_accumulation = false;
  const UnitWork at_once = block(several);
  several.accumulated_bytes = 4;
  const UnitWork work = block(several);
  EXPECT_EQ(weight_traffic(work) - weight_traffic(at_once), Bytes{10 * kParameters});
  const Op& last = layer(work, "up").ops.backward_weight.back();
  EXPECT_EQ(last.key.op, "accumulate");
  EXPECT_EQ(last.traffic, Bytes{10 * (8 * 32 + 32)});
}

// Backward reads no output of down, drop2 or the last sum, but a dropout stands between: its mask is needed.
TEST(ExecutedWork, StopsRecomputingWhereBackwardAsksForNothingMore) {
  const auto left_out = [](const UnitWork& work) {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < work.layers.size(); ++i) {
      if (!work.layers[i].recomputed) places.push_back(i);
    }
    return places;
  };
  UnitSetting early = setting();
  EXPECT_THAT(left_out(block(early)), IsEmpty());
  early.stack.kernels.stops_recomputing = true;
  // norm1 q k v attention projection drop1 sum1 norm2 up gelu down drop2 sum2
  EXPECT_THAT(left_out(block(early)), ElementsAre(13));
}

// A chain of linear layers ends with a product: only that is not computed again.
TEST(ExecutedWork, StopsRecomputingBeforeTheLastProduct) {
  OpGraph gpt = hand_made_gpt({});
  const Block& layers = gpt.blocks()[1];
  UnitSetting early = setting();
  early.stack.kernels.stops_recomputing = true;
  // Up to down: ... norm2, up, gelu, down.
  const LayerId down{static_cast<std::int32_t>(layers.last) - 2};
  const UnitWork work = lower_unit(gpt, {layers.first, down}, early);
  EXPECT_FALSE(work.layers.back().recomputed);
  EXPECT_TRUE(work.layers[work.layers.size() - 2].recomputed);
}

// The kernels of what the runtime runs are known: nothing is merged and nothing added, though two products read
// the samples, and what joins them is read twice.
TEST(ExecutedWork, LeavesAloneWhatTheRuntimeRuns) {
  const OpGraph graph = every_kind(8);
  ASSERT_TRUE(is_executable(graph));
  const UnitWork work = lower_unit(graph, {LayerId{0}, LayerId(graph.size() - 1)}, {.samples = 2});
  for (const std::size_t i : {0u, 1u}) {
    EXPECT_THAT(work.layers[i].ops.forward.front().key.shape, ElementsAre(2, 8, 8));
  }
  for (const LayerWork& layer : work.layers) {
    for (const Op& op : layer.ops.backward_input) EXPECT_NE(op.key.op, "add");
  }
}

}  // namespace
}  // namespace foreplan
