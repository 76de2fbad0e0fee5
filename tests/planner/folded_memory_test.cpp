// What a FoldedStep holds, as published formulas have it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/gpt.hpp"
#include "tests/planner/folded_setting.hpp"

namespace foreplan {
namespace {

using ::testing::HasSubstr;

// 2 s b h L (...) of Korthikanti et al., section 4, plus the ends: the embedding's mask s b h; the last
// norm's and the head's inputs 4 s b h and the loss's probabilities 4 s b v / t; statistics of 2 L + 1
// norms of 8 bytes a row.
TEST(FoldedMemory, HoldsTheActivationsOfThe22BModelToTheLastDigit) {
  const GptSizes sizes{.layers = 48, .h = 6144, .a = 64, .vocabulary = 51200, .positions = 2048};
  const OpGraph gpt = hand_made_gpt(sizes);
  const Cluster cluster = node(8);
  const LinkModel costs;
  Task task{.model = gpt,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 4,
            .optimizer = Optimizer::adam,
            .lengths = {.source = 2048},
            .precision = DType::fp16};
  task.stack.fused_attention = false;
  const std::int64_t sb = 2048 * 4, sbh = sb * sizes.h, t = 8;
  const std::int64_t scores = 64 * 2048 * sb;
  const std::int64_t layers = 48 * (10 * sbh + 24 * sbh / t + 5 * scores / t);
  EXPECT_EQ(static_cast<double>(layers) / (1LL << 30), 59.25);
  const std::int64_t head = 4 * sbh + 4 * sb * 51200 / t;
  const Estimate plain = FoldedStep(task, {.tp = 8}).estimate(costs);
  EXPECT_EQ(plain.stages[0].activations.count, layers + sbh + head + 97 * 8 * sb);

  const std::int64_t selective = 48 * 34 * sbh / t;
  EXPECT_EQ(static_cast<double>(selective) / (1LL << 30), 9.5625);
  const Estimate saver =
      FoldedStep(task, {.tp = 8, .sp = true, .recompute = Recompute::selective}).estimate(costs);
  EXPECT_EQ(saver.stages[0].activations.count,
            selective + (sbh + 4 * sbh + 4 * sb * 51200) / t + 97 * 8 * sb / t);
}

// 18 bytes for each of 12 L h^2 weights over t: 45.5625 GiB; biases and norms are what the paper leaves out:
// 11 h split and 2 + 4 h... whole: 5 h biases of q, k, v, up (4 h) over t, 6 h others on every rank.
TEST(FoldedMemory, HoldsTheStateOfThe22BModelToTheLastDigit) {
  const GptSizes sizes{.layers = 48, .h = 6144, .a = 64, .vocabulary = 51200, .positions = 2048};
  const OpGraph gpt = hand_made_gpt(sizes);
  const Cluster cluster = node(8);
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 4,
                  .optimizer = Optimizer::adam,
                  .lengths = {.source = 2048},
                  .precision = DType::fp16};
  const Estimate estimate = FoldedStep(task, {.tp = 8}).estimate(costs);
  const StageMemory& stage = estimate.stages[0];
  const std::int64_t h = sizes.h, weights = 48 * 12 * h * h / 8;
  EXPECT_EQ(static_cast<double>(18 * weights) / (1LL << 30), 45.5625);
  // Biases of q, k, v (3 h) and up (4 h) are split, those of projection and down and both norms (4 h) whole.
  const std::int64_t small = 48 * (7 * h / 8 + 2 * h + 4 * h);
  const std::int64_t ends = 51200 * h / 8 + 2048 * h + 2 * h;
  EXPECT_EQ(stage.parameters + stage.gradients + stage.optimizer,
            Bytes{18 * (weights + small + ends)});
}

// 175B with p = 8, v = 3: the first stage holds 31 chunks of 4 layers, 96 (1 + 7/24) layers in all, and
// the masks of the embeddings of its chunks in flight.
TEST(FoldedMemory, HoldsTheActivationsOfThe175BModel) {
  const GptSizes sizes{.layers = 96, .h = 12288, .a = 96, .vocabulary = 51200, .positions = 2048};
  const OpGraph gpt = hand_made_gpt(sizes);
  const Cluster cluster = node(64);
  const LinkModel costs;
  Task task{.model = gpt,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 64,
            .optimizer = Optimizer::adam,
            .lengths = {.source = 2048},
            .precision = DType::fp16};
  task.stack.fused_attention = false;
  const std::int64_t sb = 2048, sbh = sb * sizes.h, t = 8;
  const std::int64_t layer = 10 * sbh + 24 * sbh / t + 5 * 96 * 2048 * sb / t;
  EXPECT_EQ(static_cast<double>(124 * layer) / (1LL << 30), 66.84375);
  const Estimate estimate =
      FoldedStep(task, {.tp = 8, .pp = 8, .vpp = 3, .micro_batch = 1}).estimate(costs);
  const std::int64_t rest = estimate.stages[0].activations.count - 124 * (layer + 16 * sb);
  EXPECT_EQ(rest % sbh, 0);
  EXPECT_GE(rest / sbh, 8);
  EXPECT_LE(rest / sbh, 31);
}

// zero 1 shards 12 of the 18 bytes over 4 replicas, zero 2 also the 4 of gradients, zero 3 all.
TEST(FoldedMemory, ShardsStateByItsZeroStage) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(4);
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 4,
                  .optimizer = Optimizer::adam,
                  .lengths = {.source = 4},
                  .precision = DType::fp16};
  const std::int64_t n = gpt.parameter_count(), share = (n + 3) / 4;
  const auto stage = [&](int zero) {
    return FoldedStep(task, {.dp = 4, .zero = zero}).estimate(costs).stages[0];
  };
  EXPECT_EQ(stage(0).optimizer, Bytes{12 * n});
  EXPECT_EQ(stage(1).optimizer, Bytes{12 * share});
  EXPECT_EQ(stage(1).gradients, Bytes{4 * n});
  EXPECT_EQ(stage(2).gradients, Bytes{4 * share});
  EXPECT_EQ(stage(2).parameters, Bytes{2 * n});
  EXPECT_EQ(stage(3).parameters, Bytes{2 * share});
}

// 12 bytes of each parameter go to the host and come back at 1 GB/s while the optimizer runs; the state of
// two buckets of 25 MiB stays. Activations leave beside forward and return beside backward.
TEST(FoldedMemory, OffloadsToTheHost) {
  const OpGraph gpt = hand_made_gpt({.layers = 4});
  DeviceSpec device = big_device();
  device.host_bandwidth = {1e6};
  const Cluster cluster("one", {device}, {{.id = "d0", .kind = VertexKind::device, .spec = 0}}, {});
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 8,
                  .optimizer = Optimizer::adam,
                  .lengths = {.source = 4},
                  .precision = DType::fp16};
  const Estimate kept = FoldedStep(task, {.micro_batch = 2}).estimate(costs);
  const Estimate state =
      FoldedStep(task, {.micro_batch = 2, .offload = Offload::optimizer}).estimate(costs);
  const Bytes moved{12 * gpt.parameter_count()};
  EXPECT_EQ(state.stages[0].optimizer_on_host, moved);
  EXPECT_EQ(state.breakdown.optimizer, moved / Bandwidth{1e6});
  const Estimate activations =
      FoldedStep(task, {.micro_batch = 2, .offload = Offload::activations}).estimate(costs);
  const Duration move = kept.stages[0].activations / Bandwidth{1e6};
  EXPECT_GT(move, kept.step_time);
  EXPECT_EQ(activations.step_time - activations.breakdown.optimizer, 4 * 2 * move);
  EXPECT_THAT(complaint({.model = gpt,
                         .cluster = node(1),
                         .costs = costs,
                         .global_batch = 8,
                         .lengths = {.source = 4}},
                        {.offload = Offload::all}),
              HasSubstr("does not tell its bandwidth to the host"));
}

}  // namespace
}  // namespace foreplan
