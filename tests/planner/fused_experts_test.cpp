#include "planner/fused_experts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/model_io.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Mixtral: 8 experts of [4096, 14336], two for each row. One sample of 4 tokens: 8 rows go to experts.
const OpGraph& mixtral() {
  static const OpGraph model = read_model(FOREPLAN_SOURCE_DIR "/models/zoo/mixtral-8x7b.json");
  return model;
}
constexpr std::int64_t kRows = 8, kFeatures = 14336, kNumbers = kRows * kFeatures;

UnitWork block(bool fused, bool merged = true, std::optional<DType> products = DType::fp8) {
  UnitSetting setting{.lengths = {.source = 4}, .dtype = DType::bf16, .products = products};
  setting.stack.kernels.fused_experts = fused;
  setting.stack.kernels.fused_projections = merged;
  const Block& layers = mixtral().blocks()[1];
  return lower_unit(mixtral(), {layers.first, layers.last}, setting);
}

const LayerOps& ops(const UnitWork& work, const char* name) {
  for (const LayerWork& layer : work.layers) {
    if (mixtral().layer(layer.layer).name.ends_with(name)) return layer.ops;
  }
  throw std::logic_error(name);
}

std::vector<std::string> names(const std::vector<Op>& ops) {
  std::vector<std::string> found;
  for (const Op& op : ops) found.push_back(op.key.op);
  return found;
}

// The gate's outcome is written in fp8 by the product before it, 1 byte a number; backward what entered it, twice as
// many numbers, is read in bf16 and its gradient written in fp8, and the 2 bytes of the outcome's gradient are not:
// 2 N (2 + 1) - 2 N = 4 N bytes.
TEST(FusedExperts, GateIsPartOfProducts) {
  const UnitWork work = block(true);
  const LayerOps& gate = ops(work, "expert_activation");
  EXPECT_EQ(gate.forward.front().traffic, Bytes{kNumbers});
  EXPECT_EQ(gate.backward_input.front().traffic, Bytes{4 * kNumbers});
  EXPECT_EQ(gate.forward.front().launches, 0);
  EXPECT_EQ(gate.backward_input.front().launches, 0);
}

// In bf16: 2 N forward; 2 N (2 + 2) - 2 N = 6 N backward.
TEST(FusedExperts, GateKeepsTheFormatOfProducts) {
  const UnitWork work = block(true, true, std::nullopt);
  EXPECT_EQ(ops(work, "expert_activation").forward.front().traffic, Bytes{2 * kNumbers});
  EXPECT_EQ(ops(work, "expert_activation").backward_input.front().traffic, Bytes{6 * kNumbers});
}

// What enters the first product and the gradient of the last one's outcome are cast as before; nothing between.
TEST(FusedExperts, NothingIsCastBesideTheGate) {
  const UnitWork apart = block(false), fused = block(true);
  EXPECT_THAT(names(ops(apart, "expert_down").forward), ElementsAre("cast", "expert_linear"));
  EXPECT_THAT(names(ops(fused, "expert_down").forward), ElementsAre("expert_linear"));
  EXPECT_THAT(names(ops(fused, "expert_down").backward_input),
              ElementsAre("cast", "expert_linear"));
  EXPECT_THAT(names(ops(apart, "expert_gate").backward_input),
              ElementsAre("cast", "expert_linear"));
  EXPECT_THAT(names(ops(fused, "expert_gate").backward_input), ElementsAre("expert_linear"));
  EXPECT_THAT(names(ops(fused, "expert_gate").forward), ElementsAre("cast", "expert_linear"));
}

// One kernel instead of eight, and as many for each cast of theirs.
TEST(FusedExperts, AreOneKernel) {
  const UnitWork apart = block(false), fused = block(true);
  for (const Op& op : ops(apart, "expert_gate").forward) EXPECT_EQ(op.launches, 8) << op.key.op;
  for (const Op& op : ops(fused, "expert_gate").forward) EXPECT_EQ(op.launches, 1) << op.key.op;
}

// Gate and up read the same rows: one product of each expert, [8 experts, 8 rows, 4096, 2 x 14336].
TEST(ExecutedWork, MakesOneProductOfWhatExpertsReadTwice) {
  const UnitWork merged = block(false, true, std::nullopt),
                 apart = block(false, false, std::nullopt);
  EXPECT_THAT(ops(merged, "expert_gate").forward.front().key.shape,
              ElementsAre(8, kRows, 4096, 2 * kFeatures));
  EXPECT_THAT(ops(merged, "expert_up").forward, IsEmpty());
  EXPECT_EQ(ops(merged, "expert_gate").forward.front().launches, 8);
  EXPECT_EQ(ops(apart, "expert_up").forward.size(), 1u);
  // Rows are read once instead of twice: 8 rows of 4096 numbers of 2 bytes.
  const Bytes once = ops(merged, "expert_gate").forward.front().traffic;
  const Bytes twice = ops(apart, "expert_gate").forward.front().traffic +
                      ops(apart, "expert_up").forward.front().traffic;
  EXPECT_EQ(twice - once, Bytes{kRows * 4096 * 2});
}

}  // namespace
}  // namespace foreplan
