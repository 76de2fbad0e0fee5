#include "planner/folded_step.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/lowering.hpp"
#include "sim/profile.hpp"
#include "tests/models/encoder_decoder.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/folded_setting.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// Without pipeline, tp and dp a step is its ops one behind the other: for each micro-batch those of the
// layers, then the optimizer's one and, with clipping, the sum of squares. A tensor that n layers read has n
// gradients, which take n - 1 additions: of a layer what enters (2 readers), the first norm (3) and the first
// sum (2).
TEST(FoldedStep, IsTheSumOfItsOpsOnOneDevice) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(1);
  const LinkModel costs;
  Task task{.model = gpt,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 6,
            .lengths = {.source = 4}};
  task.stack.kernels.fused_projections = false;
  std::int64_t ops = 0;
  for (std::size_t i = 0; i < gpt.size(); ++i) {
    const LayerId id{static_cast<std::int32_t>(i)};
    const LayerOps layer = layer_ops(gpt, id, {.samples = 2, .lengths = {.source = 4}});
    ops += gpt.instances(id) *
           static_cast<std::int64_t>(layer.forward.size() + layer.backward_input.size() +
                                     layer.backward_weight.size());
  }
  ops += 2 * (1 + 2 + 1);
  const Estimate estimate = FoldedStep(task, {.micro_batch = 2}).estimate(costs);
  EXPECT_EQ(estimate.step_time, (3 * ops + 2) * kOp);
  EXPECT_EQ(estimate.breakdown.compute, 3 * ops * kOp);
  EXPECT_EQ(estimate.breakdown.optimizer, 2 * kOp);
  EXPECT_EQ(estimate.breakdown.idle, Duration::zero());
  EXPECT_EQ(estimate.tokens_per_s, estimate.samples_per_s * 4);
}

/// What was measured of whole layers of hand_made_gpt() on one rank, two samples at a time.
Profile whole_layers() {
  Profile profile;
  const auto add = [&](const char* layer, LayerTimes times) {
    profile.layers.push_back(
        {.model = "gpt", .layer = layer, .tp = 1, .micro_batch = 2, .times = times});
  };
  add("embedding", {1us, 2us, 1us});
  add("layer", {10us, 20us, 5us});
  add("head", {3us, 6us, 2us});
  return profile;
}

// A micro-batch takes 1 + 2 * 10 + 3 forward and 2 + 2 * 20 + 6 backward, 72 us; three of them, then updates of
// 1 + 2 * 5 + 2 us. With recomputation each layer's forward comes again: 20 us more. Nothing else is asked for.
TEST(FoldedStep, IsTheSumOfLayersThatWereMeasuredWhole) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(1);
  const ProfileModel costs(whole_layers());
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 6,
                  .lengths = {.source = 4}};
  const Estimate plain = FoldedStep(task, {.micro_batch = 2}).estimate(costs);
  EXPECT_EQ(plain.step_time, 3 * 72us + 13us);
  EXPECT_EQ(plain.breakdown.optimizer, 13us);
  const Estimate again =
      FoldedStep(task, {.micro_batch = 2, .recompute = Recompute::full}).estimate(costs);
  EXPECT_EQ(again.step_time, 3 * 92us + 13us);
}

// Two stages: embedding and a layer, 11 and 22 us; a layer and the head, 13 and 26. 1F1B of three micro-batches
// on links of no latency and endless bandwidth would take 11 + 3 * 39 + 22 us; links only add to that. The first
// stage updates for 6 us, the second for 7.
TEST(FoldedStep, SchedulesLayersThatWereMeasuredWhole) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(2);
  const ProfileModel costs(whole_layers());
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 6,
                  .lengths = {.source = 4}};
  const Estimate estimate = FoldedStep(task, {.pp = 2, .micro_batch = 2}).estimate(costs);
  EXPECT_EQ(estimate.breakdown.compute, 3 * 72us / 2);
  EXPECT_GE(estimate.step_time, 11us + 3 * 39us + 22us + 6us);
}

// Stages that are no power of two: 3 chunks of 2 on each of 3 stages, 9 micro-batches, 18 layers.
TEST(FoldedStep, InterleavesOverStagesThatDivideTheMicroBatches) {
  const OpGraph gpt = hand_made_gpt({.layers = 18});
  const Cluster cluster = node(3);
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 9,
                  .lengths = {.source = 4}};
  const FoldedStep step(task, {.pp = 3, .vpp = 3, .micro_batch = 1});
  EXPECT_EQ(step.strategy().layers.size(), 9U);
  EXPECT_GT(step.estimate(costs).step_time, Duration::zero());
  EXPECT_THAT(complaint(task, {.pp = 3, .vpp = 3, .micro_batch = 9}),
              HasSubstr("its 3 stages divide, got 1"));
}

// p = 4 equal stages of 2 layers, embedding free, the head at work beside the last: as for uneven stages,
// sum f + (m - 1) max f + sum b + (m - 1) max b + 2 (p - 1) c; then the first and last stage add up the
// gradients of the table that both hold, 16 x 8 floats at 10 GB/s.
TEST(FoldedStep, PipelinesEqualStagesByTheFormula) {
  const OpGraph gpt = hand_made_gpt({.layers = 8});
  const Cluster cluster = node(4);
  FakeCostModel costs;
  costs.op = [](const OpKey& key) {
    return key.op == "layer_norm" && key.shape[0] == 4 ? Duration(1us) : Duration::zero();
  };
  Task task{.model = gpt,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 12,
            .lengths = {.source = 4}};
  task.stack.clip_gradients = false;
  // Two norms a layer, two layers a stage, each once forward and twice backward; hops carry 4 x 8 floats at 10 GB/s: 12.8 ns.
  const Duration f = 4us, b = 2 * f, hop(12800);
  const Estimate estimate =
      FoldedStep(task, {.pp = 4, .micro_batch = 1, .schedule = Schedule::gpipe}).estimate(costs);
  // The last stage has the head's norm too: 1 us and 2 us more in each micro-batch.
  const Duration fm = f + 1us, bm = b + 2us;
  EXPECT_EQ(estimate.step_time, 3 * (f + b) + fm + bm + 11 * (fm + bm) + 6 * hop + Duration(51200));
}

Strategy strategies[] = {
    {},
    {.dp = 2},
    {.dp = 2, .micro_batch = 4},
    {.tp = 2},
    {.pp = 2, .micro_batch = 4, .schedule = Schedule::gpipe},
    {.pp = 2, .micro_batch = 4},
    {.dp = 2, .tp = 2},
    {.dp = 2, .pp = 2, .micro_batch = 4},
};

class FoldedAgainstUnfolded : public ::testing::TestWithParam<Strategy> {};

// The same step with every device's tasks simulated, collectives as copies over links.
TEST_P(FoldedAgainstUnfolded, TakesTheSameTime) {
  const OpGraph model = mlp({64, 128, 64, 32});
  const Cluster cluster = node(4);
  const LinkModel costs;
  Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 16};
  task.stack.clip_gradients = false;
  const Strategy strategy = complete(task, GetParam());
  ASSERT_TRUE(is_lowered(task, strategy));
  EXPECT_EQ(FoldedStep(task, strategy).estimate(costs).step_time,
            estimate(task, strategy).step_time)
      << format(strategy);
}

INSTANTIATE_TEST_SUITE_P(Strategies, FoldedAgainstUnfolded, ::testing::ValuesIn(strategies));

class FoldedGraphTest : public ::testing::TestWithParam<std::tuple<const char*, Blocking>> {};

// The step written as tasks, replayed, takes what the estimate says, and holds as much.
TEST_P(FoldedGraphTest, IsTheEstimatedStep) {
  const OpGraph gpt = hand_made_gpt({.layers = 16});
  const Cluster cluster = node(32);
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 32,
                  .optimizer = Optimizer::adam,
                  .lengths = {.source = 8},
                  .precision = DType::fp16,
                  .stack = {.messages_block = std::get<Blocking>(GetParam()), .host_step = 33us}};
  const FoldedStep step(task, parse_strategy(std::get<const char*>(GetParam())));
  const Estimate estimate = step.estimate(costs);
  const FoldedGraph folded = step.graph(costs);
  const Timeline timeline = replay(folded.graph, folded.costs);
  EXPECT_EQ(makespan(timeline), estimate.step_time);
  const auto memory = memory_timeline(folded.graph, timeline);
  ASSERT_EQ(memory.size(), estimate.stages.size());
  for (std::size_t s = 0; s < memory.size(); ++s) {
    EXPECT_LE(memory[s].peak, estimate.stages[s].peak);
    EXPECT_GE(memory[s].peak.count, estimate.stages[s].peak.count * 9 / 10);
  }
  const DeviceTime& time = estimate.breakdown;
  EXPECT_EQ(time.compute + time.exposed_communication + time.idle + time.optimizer,
            estimate.step_time);
  EXPECT_GE(time.idle, Duration::zero());
}

INSTANTIATE_TEST_SUITE_P(
    Strategies, FoldedGraphTest,
    ::testing::Combine(::testing::Values("dp=4,micro_batch=2", "tp=2,dp=4", "pp=4,micro_batch=1",
                                         "pp=4,vpp=2,micro_batch=1,dp=2",
                                         "pp=4,micro_batch=1,schedule=zb-h1",
                                         "pp=4,micro_batch=1,schedule=zb-h2",
                                         "pp=4,micro_batch=1,schedule=zb-v",
                                         "pp=4,micro_batch=1,schedule=dualpipe", "dp=8,zero=1",
                                         "dp=8,zero=2,micro_batch=2", "dp=8,zero=3",
                                         "tp=2,sp=1,pp=2,dp=2,micro_batch=2,recompute=selective",
                                         "cp=4,dp=2,micro_batch=2,recompute=full"),
                       ::testing::Values(Blocking::never, Blocking::plain, Blocking::always)));

// The host's part of a step comes once, whatever the micro-batches, and is waiting, not work.
TEST(FoldedStep, WaitsForTheHostOnceAStep) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(4);
  const LinkModel costs;
  for (const char* strategy : {"dp=4,micro_batch=1", "pp=2,dp=2,micro_batch=1"}) {
    Task task{.model = gpt,
              .cluster = cluster,
              .costs = costs,
              .global_batch = 16,
              .lengths = {.source = 4}};
    const Estimate ahead = FoldedStep(task, parse_strategy(strategy)).estimate(costs);
    task.stack.host_step = 123us;
    const Estimate waits = FoldedStep(task, parse_strategy(strategy)).estimate(costs);
    EXPECT_EQ(waits.step_time, ahead.step_time + 123us) << strategy;
    EXPECT_EQ(waits.breakdown.idle, ahead.breakdown.idle + 123us) << strategy;
    EXPECT_EQ(waits.breakdown.compute, ahead.breakdown.compute) << strategy;
  }
}

// Two stages and one micro-batch: forward, its message, forward and backward, a message, backward; who waits
// changes nothing. With two micro-batches the first stage waits before its second forward.
TEST(FoldedStep, WaitsForMessagesWhereTheStackDoes) {
  const OpGraph gpt = hand_made_gpt({.layers = 16});
  const Cluster cluster = node(4);
  const LinkModel costs;
  const auto step = [&](const char* strategy, Blocking blocking) {
    const Task task{.model = gpt,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 8,
                    .lengths = {.source = 8},
                    .stack = {.messages_block = blocking}};
    return FoldedStep(task, parse_strategy(strategy)).estimate(costs).step_time;
  };
  EXPECT_EQ(step("pp=2,micro_batch=8", Blocking::always),
            step("pp=2,micro_batch=8", Blocking::never));
  EXPECT_GT(step("pp=2,micro_batch=1", Blocking::plain),
            step("pp=2,micro_batch=1", Blocking::never));
  EXPECT_EQ(step("pp=2,vpp=2,micro_batch=1", Blocking::plain),
            step("pp=2,vpp=2,micro_batch=1", Blocking::never));
  EXPECT_GT(step("pp=2,vpp=2,micro_batch=1", Blocking::always),
            step("pp=2,vpp=2,micro_batch=1", Blocking::never));
}

// 4 layers of 12 h^2 + 13 h parameters, h = 32, in fp32 over 4 replicas: 3/4 of 50,816 bytes at 10 GB/s are
// 3.8112 us, once more for each layer where nothing is gathered ahead.
TEST(FoldedStep, GathersAgainForBackwardWhereTheStackDoes) {
  const OpGraph gpt = hand_made_gpt({.layers = 4, .h = 32, .a = 4, .vocabulary = 64});
  const Cluster cluster = node(4);
  const LinkModel costs;
  const auto step = [&](bool again) {
    const Task task{.model = gpt,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 4,
                    .lengths = {.source = 8},
                    .stack = {.gather_again = again, .prefetch_parameters = false}};
    return FoldedStep(task, parse_strategy("dp=4,zero=3,recompute=full")).estimate(costs).step_time;
  };
  EXPECT_EQ(step(true) - step(false), 4 * Duration(3'811'200));
}

// Of six units (embedding, four layers, head) parameters are copied behind two gathers, gradients before one
// reduction; every copy takes 10 us. Replicas alone have none.
TEST(FoldedStep, CopiesWhatIsGatheredAndReducedWhereTheStackDoes) {
  const OpGraph gpt = hand_made_gpt({.layers = 4, .h = 32, .a = 4, .vocabulary = 64});
  const Cluster cluster = node(4);
  const LinkModel costs;
  const auto step = [&](bool parameters, bool gradients, const char* strategy) {
    const Task task{.model = gpt,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 4,
                    .lengths = {.source = 8},
                    .stack = {.copies_parameters = parameters,
                              .copies_gradients = gradients,
                              .prefetch_parameters = false}};
    return FoldedStep(task, parse_strategy(strategy)).estimate(costs).step_time;
  };
  const Duration plain = step(false, false, "dp=4,zero=3");
  EXPECT_EQ(step(true, false, "dp=4,zero=3") - plain, 12 * kOp);
  EXPECT_EQ(step(false, true, "dp=4,zero=3") - plain, 6 * kOp);
  EXPECT_EQ(step(true, true, "dp=1,zero=3"), step(false, false, "dp=1,zero=3"));
}

// One device at half the speed holds up its replica, and all wait for it where gradients meet.
TEST(FoldedStep, WaitsForASlowDevice) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(2);
  const LinkModel costs;
  Task task{.model = gpt,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 2,
            .lengths = {.source = 4}};
  const Estimate even = FoldedStep(task, {.dp = 2}).estimate(costs);
  task.slow = {{DeviceId{1}, 2.0}};
  const Estimate slow = FoldedStep(task, {.dp = 2}).estimate(costs);
  EXPECT_EQ(slow.step_time - even.step_time, even.breakdown.compute);
}

// Of the four layers two are recomputed: those keep s b h only, the others all of s b h (34 + 5 a s / h).
TEST(FoldedStep, RecomputesAsManyLayersAsAsked) {
  const OpGraph gpt = hand_made_gpt({.layers = 4});
  const Cluster cluster = node(1);
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 1,
                  .lengths = {.source = 4},
                  .precision = DType::fp16};
  const auto with = [&](std::optional<int> layers) {
    return FoldedStep(task, {.recompute = Recompute::full, .recompute_layers = layers})
        .estimate(costs);
  };
  const Estimate none = with(0), two = with(2), all = with({});
  EXPECT_EQ(none.step_time, FoldedStep(task, {}).estimate(costs).step_time);
  EXPECT_EQ(2 * (two.step_time - none.step_time), all.step_time - none.step_time);
  EXPECT_EQ(2 * (none.stages[0].activations - two.stages[0].activations),
            none.stages[0].activations - all.stages[0].activations);
  // FLOPs that were done: utilisation times time.
  EXPECT_GT(all.hfu * seconds(all.step_time), two.hfu * seconds(two.step_time));
  EXPECT_THAT(complaint(task, {.recompute_layers = 2}), HasSubstr("needs recompute=full"));
}

// A decoder reads its encoder from every layer, so a stage ends in the encoder or behind it. Two ways to cut the
// network work as much as one device does, wherever; the table lies on the first stage, and once on the last,
// where the decoder's embedding and a head that is tied to it read it.
TEST(FoldedStep, CutsAnEncoderBeforeItsDecoder) {
  const Cluster cluster = node(2);
  const LinkModel costs;
  for (const bool tied : {true, false}) {
    const OpGraph model = small_encoder_decoder({.encoder_layers = 3, .tied = tied});
    const Task task{.model = model,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 4,
                    .lengths = {.source = 6, .target = 4}};
    const Estimate whole = FoldedStep(task, {.micro_batch = 2}).estimate(costs);
    ASSERT_EQ(whole.stages[0].parameters, Bytes{4 * model.parameter_count()});
    for (const std::vector<int>& layers : {std::vector{1, 6}, {3, 4}, {4, 3}}) {
      const Estimate cut =
          FoldedStep(task, {.pp = 2, .micro_batch = 2, .layers = layers}).estimate(costs);
      EXPECT_EQ(2 * cut.breakdown.compute, whole.breakdown.compute);
      // A vocabulary of 40 at width 16.
      EXPECT_EQ(cut.stages[0].parameters + cut.stages[1].parameters,
                Bytes{4 * (model.parameter_count() + 40 * 16)});
    }
    EXPECT_THAT(complaint(task, {.pp = 2, .layers = {5, 2}}), HasSubstr("more than one tensor"));
  }
}

TEST(FoldedStep, RefusesWhatCannotBeLaidOut) {
  const OpGraph gpt = hand_made_gpt({});
  const Cluster cluster = node(8);
  const LinkModel costs;
  const Task task{.model = gpt,
                  .cluster = cluster,
                  .costs = costs,
                  .global_batch = 8,
                  .lengths = {.source = 6}};
  EXPECT_THAT(complaint(task, {.tp = 4}),
              HasSubstr("tp=4 does not divide the 2 heads of layer 'attention'"));
  EXPECT_THAT(complaint(task, {.dp = 3}), HasSubstr("dp=3 does not divide the global batch of 8"));
  EXPECT_THAT(complaint(task, {.dp = 8, .tp = 2}),
              HasSubstr("needs 16 devices, the cluster has 8"));
  EXPECT_THAT(complaint(task, {.pp = 4}), HasSubstr("4 stages, but the network has only 2 layers"));
  EXPECT_THAT(complaint(task, {.cp = 4}),
              HasSubstr("cp=4 does not divide the sequence of 6 tokens"));
  EXPECT_THAT(complaint(task, {.sp = true}), HasSubstr("sp=1 needs tp > 1"));
  EXPECT_THAT(complaint(task, {.ep = 3}), HasSubstr("ep=3: gpt has no experts"));
}

}  // namespace
}  // namespace foreplan
