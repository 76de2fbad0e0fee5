#include "planner/step_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "models/model_io.hpp"
#include "planner/folded_step.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

/// What a step of `model` on eight devices is refused for.
std::string refusal(const OpGraph& model, const Strategy& strategy,
                    std::vector<std::pair<DeviceId, double>> slow = {}) {
  const Cluster cluster = fake_cluster(8);
  const RooflineModel costs;
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 24,
                  .lengths = {.source = 4},
                  .slow = std::move(slow)};
  return complaint([&] { FoldedStep(task, strategy).estimate(costs); });
}

TEST(StepCheck, RefusesSizesThatAreNone) {
  const OpGraph gpt = hand_made_gpt({});
  EXPECT_EQ(refusal(gpt, {.tp = 0}), "strategy: tp: expected >= 1, got 0");
  EXPECT_EQ(refusal(gpt, {.dp = -1, .cp = -1}), "strategy: dp: expected >= 1, got -1");
  EXPECT_EQ(refusal(gpt, {.zero = 4}), "strategy: zero: expected 0 to 3, got 4");
  EXPECT_EQ(refusal(gpt, {.pp = 2, .layers = {1 << 20, 2 - (1 << 20)}}),
            "strategy: layers: expected >= 1, got -1048574");
}

// Each would change nothing, and be passed over, if it were let through.
TEST(StepCheck, RefusesWhatWouldBeIgnored) {
  const OpGraph gpt = hand_made_gpt({}), plain = mlp({8, 8, 8});
  EXPECT_EQ(refusal(gpt, {.sp = true}), "strategy: sp=1 needs tp > 1");
  EXPECT_EQ(refusal(gpt, {.vpp = 2}), "strategy: vpp=2 needs pp > 1");
  EXPECT_EQ(refusal(gpt, {.schedule = Schedule::zb_v}), "strategy: schedule=zb-v needs pp > 1");
  EXPECT_EQ(refusal(gpt, {.dp = 2, .ep = 2}), "strategy: ep=2: gpt has no experts");
  EXPECT_THAT(
      refusal(read_model(FOREPLAN_SOURCE_DIR "/models/zoo/mixtral-8x7b.json"),
              {.dp = 2, .tp = 2, .ep = 4}),
      testing::HasSubstr("ep=4 does not divide cp dp, so that experts are not cut by tp=2"));
  EXPECT_EQ(refusal(plain, {.cp = 2}), "strategy: cp=2 shares attention, but test-model has none");
  EXPECT_EQ(refusal(plain, {.recompute = Recompute::selective}),
            "strategy: recompute=selective repeats attention, but test-model has none");
}

TEST(StepCheck, RefusesSlowDevicesThatAreNot) {
  const OpGraph gpt = hand_made_gpt({});
  EXPECT_EQ(refusal(gpt, {}, {{DeviceId{8}, 2.0}}), "slow: expected a device from 0 to 7, got 8");
  EXPECT_EQ(refusal(gpt, {}, {{DeviceId{3}, 0.0}}), "slow: device 3: expected a factor > 0, got 0");
}

// 24 samples in 12 micro-batches, which 3 stages divide.
TEST(StepCheck, CountsTheMicroBatchesThatThereAre) {
  const OpGraph gpt = hand_made_gpt({.layers = 6});
  EXPECT_EQ(refusal(gpt, {.pp = 3, .vpp = 2, .micro_batch = 2}), "no complaint");
  EXPECT_EQ(
      refusal(gpt, {.pp = 3, .vpp = 2, .micro_batch = 3}),
      "pipeline: interleaved needs a number of micro-batches that its 3 stages divide, got 8");
}

// BERT's head reads the encoder's last layer past the pooler, on the last stage; T5's decoder reads the
// encoder from every layer: its layers stay together.
TEST(StepCheck, RefusesStagesOnlyWhereSeveralTensorsCross) {
  const auto zoo = [](const char* name) {
    return read_model(std::string(FOREPLAN_SOURCE_DIR "/models/zoo/") + name + ".json");
  };
  EXPECT_EQ(refusal(zoo("bert-base"), {.pp = 4, .micro_batch = 2}), "no complaint");
  EXPECT_EQ(refusal(zoo("t5-small"), {.pp = 4, .micro_batch = 2}), "no complaint");
  EXPECT_EQ(refusal(zoo("t5-small"), {.pp = 2, .micro_batch = 2, .layers = {9, 5}}),
            "strategy: layers=9+5: more than one tensor crosses behind layer 10");
}

}  // namespace
}  // namespace foreplan
