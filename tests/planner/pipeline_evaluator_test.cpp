#include "planner/pipeline_evaluator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/planner/brute_force_pipeline.hpp"
#include "tests/planner/complaint.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

std::string told(const PipelineShape& shape) {
  return std::string(name(shape.schedule)) + " p=" + std::to_string(shape.stages) +
         " v=" + std::to_string(shape.chunks) + " m=" + std::to_string(shape.micro_batches);
}

PipelineCosts even(const PipelineShape& shape, std::int64_t f, std::int64_t b, std::int64_t w,
                   HopCost hop = {}) {
  const auto parts = static_cast<std::size_t>(shape.virtual_stages());
  return {.stages = std::vector<VirtualStageCost>(parts, {Duration{f}, Duration{b}, Duration{w}}),
          .hops = std::vector<HopCost>(parts - 1, hop)};
}

/// Costs drawn from [0, most], some of the hops blocking.
class RandomCosts {
 public:
  explicit RandomCosts(unsigned seed) : engine_(seed) {}

  PipelineCosts draw(const PipelineShape& shape, std::int64_t most, std::int64_t most_hop) {
    PipelineCosts costs;
    for (int at = 0; at < shape.virtual_stages(); ++at) {
      costs.stages.push_back({below(most), below(most), below(most)});
      VirtualStageCost& stage = costs.stages.back();
      const Duration whole = stage.backward_input + stage.backward_weight;
      if (below(1) == Duration{}) stage.backward_tail = below(whole.count());
      if (at > 0) costs.hops.push_back({below(most_hop), below(most_hop), below(3) == Duration{}});
    }
    return costs;
  }

 private:
  Duration below(std::int64_t most) {
    return Duration{std::uniform_int_distribution<std::int64_t>(0, most)(engine_)};
  }
  std::mt19937 engine_;
};

// p = 2, m = 2, 1F1B; F, B, W = 2, 3, 1 on stage 0 and 4, 5, 2 on stage 1; hops 10 there, 20 back.
// Stage 0: F0 0-2, F1 2-4. Stage 1: F0 waits until 2 + 10: 12-16, B0 16-23, F1 (there at 14) 23-27,
// B1 27-34. Stage 0: B0 waits until 23 + 20: 43-47, B1 34 + 20: 54-58.
TEST(PipelineEvaluator, MatchesAHandComputedCase) {
  const PipelineEvaluator evaluator({Schedule::one_f_one_b, 2, 1, 2});
  const PipelineCosts costs{
      .stages = {{Duration{2}, Duration{3}, Duration{1}}, {Duration{4}, Duration{5}, Duration{2}}},
      .hops = {{Duration{10}, Duration{20}}}};
  PipelineEvaluator::Scratch scratch;
  EXPECT_EQ(evaluator.makespan(costs, scratch), Duration{58});
  const PipelineTimes times = evaluator.times(costs, scratch);
  EXPECT_EQ(times.makespan, Duration{58});
  EXPECT_THAT(times.busy, ElementsAre(Duration{2 * (2 + 3 + 1)}, Duration{2 * (4 + 5 + 2)}));
  EXPECT_THAT(times.idle, ElementsAre(Duration{58 - 12}, Duration{58 - 22}));
  const auto timeline = evaluator.timeline(costs);
  EXPECT_EQ(timeline[0][2].start, Duration{43});
  EXPECT_EQ(timeline[0][3].finish, Duration{58});
  EXPECT_EQ(timeline[1][2].start, Duration{23});
}

// The same with hops that block: stage 0 sends F0 2-12, so F1 12-14, sent 14-24. Stage 1: F0 12-16,
// B0 16-23, sent 23-43; F1 43-47, B1 47-54. Stage 0: B0 43-47, B1 54 + 20: 74-78.
// The first case again, stage 1 letting the input's gradient go 2 before its end: what stage 0 waits for is
// there 2 earlier, B0 41-45 and B1 52-56.
TEST(PipelineEvaluator, SendsTheGradientBeforeTheTail) {
  const PipelineEvaluator evaluator({Schedule::one_f_one_b, 2, 1, 2});
  const PipelineCosts costs{.stages = {{Duration{2}, Duration{3}, Duration{1}},
                                       {Duration{4}, Duration{5}, Duration{2}, Duration{2}}},
                            .hops = {{Duration{10}, Duration{20}}}};
  PipelineEvaluator::Scratch scratch;
  EXPECT_EQ(evaluator.makespan(costs, scratch), Duration{56});
}

TEST(PipelineEvaluator, KeepsTheSenderWaitingWhereHopsBlock) {
  const PipelineEvaluator evaluator({Schedule::one_f_one_b, 2, 1, 2});
  const PipelineCosts costs{
      .stages = {{Duration{2}, Duration{3}, Duration{1}}, {Duration{4}, Duration{5}, Duration{2}}},
      .hops = {{Duration{10}, Duration{20}, true}}};
  PipelineEvaluator::Scratch scratch;
  EXPECT_EQ(evaluator.makespan(costs, scratch), Duration{78});
}

// ZB-V turns round on the last stage: the hop between its two chunks is none.
TEST(PipelineEvaluator, ChargesNoHopInsideAStage) {
  const PipelineEvaluator evaluator({Schedule::zb_v, 1, 2, 1});
  PipelineEvaluator::Scratch scratch;
  // F, F, then B and W of chunk 1, B and W of chunk 0.
  EXPECT_EQ(evaluator.makespan(even(evaluator.shape(), 1, 2, 3, {Duration{7}, Duration{7}, true}),
                               scratch),
            Duration{2 * (1 + 2 + 3)});
}

void expect_brute_force(const PipelineEvaluator& evaluator, const PipelineCosts& costs) {
  const BruteForceTimes expected = brute_force(evaluator.shape(), costs);
  PipelineEvaluator::Scratch scratch;
  EXPECT_EQ(evaluator.makespan(costs, scratch), expected.makespan) << told(evaluator.shape());
  EXPECT_EQ(evaluator.replayed_makespan(costs, scratch), expected.makespan);
  const auto timeline = evaluator.timeline(costs);
  for (std::size_t s = 0; s < timeline.size(); ++s) {
    ASSERT_EQ(timeline[s].size(), expected.stages[s].size());
    for (std::size_t i = 0; i < timeline[s].size(); ++i) {
      EXPECT_EQ(timeline[s][i].start, expected.stages[s][i].start);
      EXPECT_EQ(timeline[s][i].finish, expected.stages[s][i].finish);
    }
  }
}

TEST(PipelineEvaluator, EqualsBruteForceWithRandomCostsAndHops) {
  RandomCosts random(1);
  for (const PipelineShape& shape : shapes(5, 13)) {
    const PipelineEvaluator evaluator(shape);
    expect_brute_force(evaluator, random.draw(shape, 9, 0));
    expect_brute_force(evaluator, random.draw(shape, 20, 30));
  }
}

// Pipelines as deep as people train with, too few micro-batches to fill them included.
TEST(PipelineEvaluator, EqualsBruteForceWhenItIsDeep) {
  RandomCosts random(6);
  for (const auto& [schedule, v] : {std::pair{Schedule::one_f_one_b, 1},
                                    {Schedule::interleaved, 3},
                                    {Schedule::zb_h1, 1},
                                    {Schedule::zb_h2, 1},
                                    {Schedule::zb_v, 2},
                                    {Schedule::dualpipe, 2}}) {
    for (const int m : {16, 32}) {
      const PipelineEvaluator evaluator({schedule, 8, v, m});
      expect_brute_force(evaluator, random.draw(evaluator.shape(), 30, 40));
    }
  }
}

/// What skipping gives, beside the full replay and how much was walked.
void expect_skipping_is_exact(const PipelineEvaluator& evaluator, const PipelineCosts& costs) {
  PipelineEvaluator::Scratch skipping, replaying;
  EXPECT_EQ(evaluator.makespan(costs, skipping), evaluator.replayed_makespan(costs, replaying))
      << told(evaluator.shape());
  EXPECT_EQ(replaying.walked(), evaluator.actions());
}

TEST(PipelineEvaluator, SkipsToTheSameTimesForAnyCosts) {
  RandomCosts random(2);
  for (const Schedule schedule : kSchedules) {
    for (const int p : {1, 2, 3, 4, 6}) {
      for (const int m : {24, 60, 144, 288}) {
        const int v = schedule == Schedule::interleaved                              ? 3
                      : schedule == Schedule::zb_v || schedule == Schedule::dualpipe ? 2
                                                                                     : 1;
        if (schedule == Schedule::dualpipe && p % 2 != 0) continue;
        const PipelineEvaluator evaluator({schedule, p, v, m});
        // Small numbers tie often, great ones never; near-equal stages drift apart slowly.
        for (const std::int64_t most : {1, 3, 10, 1'000'000}) {
          for (const std::int64_t hop : {0, 2, 1'000}) {
            expect_skipping_is_exact(evaluator, random.draw(evaluator.shape(), most, hop));
          }
        }
        for (int draw = 0; draw < 6; ++draw) {
          PipelineCosts nearly = random.draw(evaluator.shape(), 20, 5);
          for (VirtualStageCost& stage : nearly.stages) {
            stage.forward += Duration{1000};
            stage.backward_input += Duration{1000};
            stage.backward_weight += Duration{1000};
          }
          expect_skipping_is_exact(evaluator, nearly);
        }
      }
    }
  }
}

// Even stages are periodic at once: what is walked does not depend on m.
TEST(PipelineEvaluator, WalksNoFurtherForMoreMicroBatches) {
  for (const Schedule schedule : kSchedules) {
    const int v = schedule == Schedule::interleaved                              ? 3
                  : schedule == Schedule::zb_v || schedule == Schedule::dualpipe ? 2
                                                                                 : 1;
    const auto walked = [&](int m) {
      const PipelineEvaluator evaluator({schedule, 4, v, m});
      PipelineEvaluator::Scratch scratch;
      evaluator.makespan(even(evaluator.shape(), 5, 7, 3, {Duration{2}, Duration{2}}), scratch);
      return scratch.walked();
    };
    EXPECT_EQ(walked(400), walked(4000)) << name(schedule);
    EXPECT_LT(walked(4000), 4000) << name(schedule);
  }
}

TEST(PipelineEvaluator, ScalesWithItsCosts) {
  RandomCosts random(3);
  PipelineEvaluator::Scratch scratch;
  for (const PipelineShape& shape : shapes(4, 12)) {
    const PipelineEvaluator evaluator(shape);
    PipelineCosts costs = random.draw(shape, 50, 20);
    const Duration once = evaluator.makespan(costs, scratch);
    for (VirtualStageCost& stage : costs.stages) {
      stage = {7 * stage.forward, 7 * stage.backward_input, 7 * stage.backward_weight,
               7 * stage.backward_tail};
    }
    for (HopCost& hop : costs.hops) hop = {7 * hop.forward, 7 * hop.backward, hop.blocking};
    EXPECT_EQ(evaluator.makespan(costs, scratch), 7 * once) << told(shape);
  }
}

// Under a fixed order a shorter duration never lengthens the step.
TEST(PipelineEvaluator, NeverTakesLongerWhenACostShrinks) {
  RandomCosts random(4);
  PipelineEvaluator::Scratch scratch;
  for (const PipelineShape& shape : shapes(4, 8)) {
    const PipelineEvaluator evaluator(shape);
    PipelineCosts costs = random.draw(shape, 50, 20);
    for (VirtualStageCost& stage : costs.stages) {
      stage.backward_tail = std::min(stage.backward_tail, stage.backward_weight);
    }
    const Duration before = evaluator.makespan(costs, scratch);
    VirtualStageCost& stage = costs.stages[costs.stages.size() / 2];
    stage.forward /= 2;
    stage.backward_weight = std::max(stage.backward_weight / 3, stage.backward_tail);
    EXPECT_LE(evaluator.makespan(costs, scratch), before) << told(shape);
  }
}

// Scratch carries nothing over from one evaluation to the next.
TEST(PipelineEvaluator, GivesTheSameWhateverTheScratchDidBefore) {
  RandomCosts random(5);
  PipelineEvaluator::Scratch used;
  for (const PipelineShape& shape : shapes(4, 16)) {
    const PipelineEvaluator evaluator(shape);
    const PipelineCosts costs = random.draw(shape, 50, 20);
    PipelineEvaluator::Scratch fresh;
    EXPECT_EQ(evaluator.makespan(costs, used), evaluator.makespan(costs, fresh)) << told(shape);
  }
}

// ZB-H1, p = 4, m >= 4, a micro-batch holds 10, of which 3 until its weights' gradient. Stage r keeps
// p - r whole and r for their weights (Zero Bubble, section 2.1, counting stages from 1).
TEST(PipelineEvaluator, AddsUpWhatStagesHold) {
  const std::vector<ChunkMemory> memory(4, {Bytes{10}, Bytes{3}});
  EXPECT_THAT(PipelineEvaluator({Schedule::zb_h1, 4, 1, 9}).peak_memory(memory),
              ElementsAre(Bytes{40}, Bytes{33}, Bytes{26}, Bytes{19}));
  // ZB-H2: 2 (p - r) - 1 whole, 2r for their weights.
  EXPECT_THAT(PipelineEvaluator({Schedule::zb_h2, 4, 1, 9}).peak_memory(memory),
              ElementsAre(Bytes{70}, Bytes{50 + 6}, Bytes{30 + 12}, Bytes{10 + 18}));
  EXPECT_THAT(PipelineEvaluator({Schedule::one_f_one_b, 4, 1, 9}).peak_memory(memory),
              ElementsAre(Bytes{40}, Bytes{30}, Bytes{20}, Bytes{10}));
}

// Chunks of their own sizes, counted from the actions one by one.
TEST(PipelineEvaluator, FindsThePeakOfChunksOfDifferentSizes) {
  for (const PipelineShape& shape : shapes(4, 16)) {
    std::vector<ChunkMemory> memory;
    for (int at = 0; at < shape.virtual_stages(); ++at) {
      memory.push_back({Bytes{10 + at * 7 % 11}, Bytes{at * 5 % 8}});
    }
    const std::vector<Bytes> peaks = PipelineEvaluator(shape).peak_memory(memory);
    for (int s = 0; s < shape.stages; ++s) {
      Bytes held{}, most{};
      for (const PipelineAction& action : pipeline_schedule(shape, s)) {
        const int at = virtual_stage(shape.schedule, shape.stages, shape.chunks, s, action.chunk);
        const auto& [activations, for_weight] = memory[static_cast<std::size_t>(at)];
        if (action.kind == PipelineAction::Kind::forward) held += activations;
        most = std::max(most, held);
        if (action.kind == PipelineAction::Kind::backward) held -= activations;
        if (action.kind == PipelineAction::Kind::backward_input) held -= activations - for_weight;
        if (action.kind == PipelineAction::Kind::backward_weight) held -= for_weight;
      }
      EXPECT_EQ(held, Bytes{0});
      EXPECT_EQ(peaks[static_cast<std::size_t>(s)], most) << told(shape) << " stage=" << s;
    }
  }
}

TEST(PipelineEvaluator, RefusesCostsThatDoNotFit) {
  const PipelineEvaluator evaluator({Schedule::one_f_one_b, 2, 1, 4});
  PipelineEvaluator::Scratch scratch;
  const auto complain = [&](const PipelineCosts& costs) {
    return complaint([&] { evaluator.makespan(costs, scratch); });
  };
  PipelineCosts costs = even(evaluator.shape(), 1, 1, 1);
  costs.stages.pop_back();
  EXPECT_EQ(complain(costs), "pipeline: expected a cost for each of 2 virtual stages, got 1");
  costs = even(evaluator.shape(), 1, 1, 1);
  costs.hops.push_back({});
  EXPECT_EQ(complain(costs), "pipeline: expected a cost for each of 1 hops, got 2");
  EXPECT_EQ(complain(even(evaluator.shape(), 1, -5, 1)),
            "pipeline: expected costs from 0 to 2305843009213693952 ps, got -5");
  EXPECT_EQ(complain(even(evaluator.shape(), 1, 1, 1, {Duration{-2}})),
            "pipeline: expected costs from 0 to 2305843009213693952 ps, got -2");
  costs = even(evaluator.shape(), 1, 4, 2);
  costs.stages[1].backward_tail = Duration{7};
  EXPECT_EQ(complain(costs),
            "pipeline: expected a backward_tail of at most the backward's 6 ps, got 7");
  // 8 forwards of 2^60 ps.
  EXPECT_EQ(complain(even(evaluator.shape(), std::int64_t{1} << 60, 0, 0)),
            "pipeline: 9.22e+18 ps of work are too many");
}

TEST(PipelineEvaluator, RefusesShapesAndMemoryThatDoNotFit) {
  EXPECT_EQ(complaint([] {
              PipelineEvaluator({Schedule::zb_v, 2, 3, 4});
            }),
            "pipeline: zb-v has two chunks (vpp) a stage, got 3");
  EXPECT_EQ(complaint([] {
              PipelineEvaluator({Schedule::gpipe, 10'923, 1, 1});
            }),
            "pipeline: expected at most 10922 virtual stages, got 10923");
  const PipelineEvaluator evaluator({Schedule::one_f_one_b, 2, 1, 4});
  EXPECT_EQ(complaint([&] { evaluator.peak_memory({}); }),
            "pipeline: expected the memory of each of 2 virtual stages, got 0");
  const std::vector<ChunkMemory> wrong(2, {Bytes{1}, Bytes{2}});
  EXPECT_EQ(complaint([&] { evaluator.peak_memory(wrong); }),
            "pipeline: expected 0 <= for_weight <= activations, got 2 and 1 bytes");
}

}  // namespace
}  // namespace foreplan
