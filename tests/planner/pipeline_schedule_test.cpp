#include "planner/pipeline_schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "tests/planner/brute_force_pipeline.hpp"
#include "tests/planner/complaint.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using Kind = PipelineAction::Kind;

PipelineAction f(int micro_batch, int chunk = 0) { return {Kind::forward, micro_batch, chunk}; }
PipelineAction b(int micro_batch, int chunk = 0) { return {Kind::backward, micro_batch, chunk}; }
PipelineAction i(int micro_batch, int chunk = 0) {
  return {Kind::backward_input, micro_batch, chunk};
}
PipelineAction w(int micro_batch, int chunk = 0) {
  return {Kind::backward_weight, micro_batch, chunk};
}

std::string told(const PipelineShape& shape) {
  return std::string(name(shape.schedule)) + " p=" + std::to_string(shape.stages) +
         " v=" + std::to_string(shape.chunks) + " m=" + std::to_string(shape.micro_batches);
}

// 3 stages, 4 micro-batches: every stage does the same.
TEST(PipelineSchedule, OfGPipeIsAllForwardThenAllBackward) {
  for (int stage = 0; stage < 3; ++stage) {
    EXPECT_THAT(pipeline_schedule({Schedule::gpipe, 3, 1, 4}, stage),
                ElementsAre(f(0), f(1), f(2), f(3), b(0), b(1), b(2), b(3)));
  }
}

// Warm-up of 3 - s - 1 forwards: 2, 1 and 0 (Narayanan et al., figure 4, with 4 micro-batches).
TEST(PipelineSchedule, OfOneForwardOneBackwardMatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule({Schedule::one_f_one_b, 3, 1, 4}, s); };
  EXPECT_THAT(stage(0), ElementsAre(f(0), f(1), f(2), b(0), f(3), b(1), b(2), b(3)));
  EXPECT_THAT(stage(1), ElementsAre(f(0), f(1), b(0), f(2), b(1), f(3), b(2), b(3)));
  EXPECT_THAT(stage(2), ElementsAre(f(0), b(0), f(1), b(1), f(2), b(2), f(3), b(3)));
}

TEST(PipelineSchedule, WarmsUpNoFurtherThanThereAreMicroBatches) {
  EXPECT_THAT(pipeline_schedule({Schedule::one_f_one_b, 5, 1, 2}, 0),
              ElementsAre(f(0), f(1), b(0), b(1)));
}

// p = 2, v = 2, m = 4. Forward in groups of two, chunk 0 then 1; backward chunk 1 then 0. Stage 0 warms
// up with 2 (2 - 0 - 1) + (2 - 1) 2 = 4 forwards, stage 1 with 2 (Megatron-LM's SC21 paper, section 2.2).
TEST(PipelineSchedule, InterleavedMatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule({Schedule::interleaved, 2, 2, 4}, s); };
  EXPECT_THAT(stage(0), ElementsAre(f(0), f(1), f(0, 1), f(1, 1), f(2), b(0, 1), f(3), b(1, 1),
                                    f(2, 1), b(0), f(3, 1), b(1), b(2, 1), b(3, 1), b(2), b(3)));
  EXPECT_THAT(stage(1), ElementsAre(f(0), f(1), f(0, 1), b(0, 1), f(1, 1), b(1, 1), f(2), b(0),
                                    f(3), b(1), f(2, 1), b(2, 1), f(3, 1), b(3, 1), b(2), b(3)));
}

// The weight gradients of stage s come s micro-batches later (Zero Bubble, figure 3 top, with 3 stages).
TEST(PipelineSchedule, OfZeroBubbleH1MatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule({Schedule::zb_h1, 3, 1, 4}, s); };
  EXPECT_THAT(stage(0),
              ElementsAre(f(0), f(1), f(2), i(0), w(0), f(3), i(1), w(1), i(2), w(2), i(3), w(3)));
  EXPECT_THAT(stage(2),
              ElementsAre(f(0), i(0), f(1), i(1), f(2), i(2), w(0), f(3), i(3), w(1), w(2), w(3)));
}

// Twice the warm-up and twice the delay of H1 (Zero Bubble, figure 3 bottom, with 2 stages).
TEST(PipelineSchedule, OfZeroBubbleH2MatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule({Schedule::zb_h2, 2, 1, 4}, s); };
  EXPECT_THAT(stage(0),
              ElementsAre(f(0), f(1), f(2), i(0), w(0), f(3), i(1), w(1), i(2), w(2), i(3), w(3)));
  EXPECT_THAT(stage(1),
              ElementsAre(f(0), i(0), f(1), i(1), f(2), i(2), w(0), f(3), i(3), w(1), w(2), w(3)));
}

// p = 2, m = 3: stage 0 runs 3 forwards ahead, 2 (2 - 0) - 1; stage 1 starts the way back at once.
TEST(PipelineSchedule, OfZeroBubbleVMatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule({Schedule::zb_v, 2, 2, 3}, s); };
  EXPECT_THAT(stage(0),
              ElementsAre(f(0), f(1), f(2), f(0, 1), i(0, 1), w(0, 1), f(1, 1), i(1, 1), w(1, 1),
                          i(0), w(0), f(2, 1), i(2, 1), w(2, 1), i(1), w(1), i(2), w(2)));
  EXPECT_THAT(stage(1),
              ElementsAre(f(0), f(0, 1), f(1), f(1, 1), i(0, 1), w(0, 1), f(2), i(0), w(0), f(2, 1),
                          i(1, 1), w(1, 1), i(1), i(2, 1), i(2), w(1), w(2, 1), w(2)));
}

// p = 2, m = 4: micro-batches 0 and 1 go from stage 0 to 1, 2 and 3 from 1 to 0. The two stages mirror
// each other; steps 2, 4, 6 and 8 of DeepSeek's description, 1, 3, 5 and 7 being empty at p = 2.
TEST(PipelineSchedule, OfDualPipeMatchesAHandDrawnCase) {
  const auto stage = [](int s) { return pipeline_schedule({Schedule::dualpipe, 2, 2, 4}, s); };
  EXPECT_THAT(stage(0),
              ElementsAre(f(0), f(2, 1), f(1), b(2, 1), f(3, 1), b(0), b(3, 1), i(1), w(1)));
  EXPECT_THAT(stage(1),
              ElementsAre(f(2, 1), f(0), f(3, 1), b(0), f(1), b(2, 1), b(1), i(3, 1), w(3, 1)));
}

/// Counts actions by what they do; a whole backward counts as both of its parts.
using Counts = std::map<std::tuple<Kind, int, int>, int>;
Counts counts(const std::vector<PipelineAction>& actions) {
  Counts counts;
  for (const PipelineAction& a : actions) {
    if (a.kind != Kind::backward) {
      ++counts[{a.kind, a.micro_batch, a.chunk}];
      continue;
    }
    ++counts[{Kind::backward_input, a.micro_batch, a.chunk}];
    ++counts[{Kind::backward_weight, a.micro_batch, a.chunk}];
  }
  return counts;
}

TEST(PipelineSchedule, DoesEverythingExactlyOnceAndInOrder) {
  for (const PipelineShape& shape : shapes(6, 20)) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      Counts expected;
      for (const Kind kind : {Kind::forward, Kind::backward_input, Kind::backward_weight}) {
        for (int c = 0; c < shape.chunks; ++c) {
          for (int at = 0; at < shape.micro_batches; ++at) {
            const bool second_half = at >= shape.micro_batches / 2;
            if (shape.schedule == Schedule::dualpipe && second_half != (c == 1)) continue;
            expected[{kind, at, c}] = 1;
          }
        }
      }
      const auto actions = pipeline_schedule(shape, stage);
      EXPECT_EQ(counts(actions), expected) << told(shape) << " stage=" << stage;
      // Forward before the input's backward, and that before the weights'.
      std::map<std::pair<int, int>, int> progress;
      for (const PipelineAction& a : actions) {
        int& done = progress[{a.micro_batch, a.chunk}];
        EXPECT_EQ(done, a.kind == Kind::forward ? 0 : a.kind == Kind::backward_weight ? 2 : 1);
        done = a.kind == Kind::forward ? 1 : 2;
      }
    }
  }
}

TEST(PipelineSchedule, NeverWaitsForItself) {
  for (const PipelineShape& shape : shapes(6, 16)) {
    const PipelineCosts costs{
        .stages = std::vector<VirtualStageCost>(static_cast<std::size_t>(shape.virtual_stages()),
                                                {Duration{1}, Duration{1}, Duration{1}})};
    EXPECT_FALSE(brute_force(shape, costs).deadlock) << told(shape);
  }
}

/// Counted from the actions themselves.
InFlight counted(const std::vector<PipelineAction>& actions) {
  int whole = 0, weights = 0;
  InFlight most;
  for (const PipelineAction& a : actions) {
    if (a.kind == Kind::forward) ++whole;
    most.until_input = std::max(most.until_input, whole);
    most.until_weight = std::max(most.until_weight, whole + weights);
    if (a.kind == Kind::backward || a.kind == Kind::backward_input) --whole;
    if (a.kind == Kind::backward_input) ++weights;
    if (a.kind == Kind::backward_weight) --weights;
  }
  return most;
}

TEST(PipelineSchedule, KeepsAsManyInFlightAsTheScheduleSays) {
  for (const PipelineShape& shape : shapes(8, 24)) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      EXPECT_EQ(counted(pipeline_schedule(shape, stage)), in_flight(shape, stage))
          << told(shape) << " stage=" << stage;
    }
  }
}

// By hand, p = 4, m = 8, stage 1. 1F1B: 4 - 1. Interleaved, v = 2: 2 (4 - 1 - 1) + 4 + 1 chunks. ZB-H1: 3,
// and p until their weights. ZB-H2: 2 (4 - 1) - 1, and 2p - 1. ZB-V: 2p half stages. DualPipe: p + 1.
TEST(InFlight, MatchesHandComputedCases) {
  const auto at = [](Schedule schedule, int v) { return in_flight({schedule, 4, v, 8}, 1); };
  EXPECT_EQ(at(Schedule::gpipe, 1), (InFlight{8, 8}));
  EXPECT_EQ(at(Schedule::one_f_one_b, 1), (InFlight{3, 3}));
  EXPECT_EQ(at(Schedule::interleaved, 2), (InFlight{9, 9}));
  EXPECT_EQ(at(Schedule::zb_h1, 1), (InFlight{3, 4}));
  EXPECT_EQ(at(Schedule::zb_h2, 1), (InFlight{5, 7}));
  EXPECT_EQ(at(Schedule::zb_v, 2), (InFlight{8, 8}));
  EXPECT_EQ(at(Schedule::dualpipe, 2), (InFlight{5, 5}));
}

TEST(VirtualStage, RunsAroundTheStagesOrThereAndBack) {
  const auto row = [](Schedule schedule, int v, int chunk) {
    std::vector<int> places;
    for (int s = 0; s < 3; ++s) places.push_back(virtual_stage(schedule, 3, v, s, chunk));
    return places;
  };
  EXPECT_THAT(row(Schedule::one_f_one_b, 1, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(row(Schedule::interleaved, 2, 1), ElementsAre(3, 4, 5));
  EXPECT_THAT(row(Schedule::zb_v, 2, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(row(Schedule::zb_v, 2, 1), ElementsAre(5, 4, 3));
  EXPECT_THAT(row(Schedule::dualpipe, 2, 1), ElementsAre(5, 4, 3));
}

TEST(VirtualStage, IsUndoneByStageOf) {
  for (const PipelineShape& shape : shapes(6, 12)) {
    std::vector<int> seen;
    for (int s = 0; s < shape.stages; ++s) {
      for (int c = 0; c < shape.chunks; ++c) {
        seen.push_back(virtual_stage(shape.schedule, shape.stages, shape.chunks, s, c));
        EXPECT_EQ(stage_of(shape, seen.back()), s);
      }
    }
    std::sort(seen.begin(), seen.end());
    for (int at = 0; at < shape.virtual_stages(); ++at) {
      EXPECT_EQ(seen[static_cast<std::size_t>(at)], at);
    }
  }
}

TEST(PipelineShape, TakesTheChunksThatTheStrategyMeans) {
  EXPECT_EQ(pipeline_shape({.pp = 4, .vpp = 3}, 8),
            (PipelineShape{Schedule::interleaved, 4, 3, 8}));
  EXPECT_EQ(pipeline_shape({.pp = 4}, 8), (PipelineShape{Schedule::one_f_one_b, 4, 1, 8}));
  EXPECT_EQ(pipeline_shape({.pp = 4, .schedule = Schedule::zb_v}, 8),
            (PipelineShape{Schedule::zb_v, 4, 2, 8}));
  EXPECT_EQ(pipeline_shape({.pp = 4, .vpp = 2, .schedule = Schedule::dualpipe}, 8),
            (PipelineShape{Schedule::dualpipe, 4, 2, 8}));
}

TEST(PipelineShape, RefusesWhatTheScheduleCannotDo) {
  const std::pair<PipelineShape, const char*> cases[] = {
      {{Schedule::gpipe, 0, 1, 4},
       "pipeline: expected at least one stage, chunk and micro-batch, got 0, 1 and 4"},
      {{Schedule::gpipe, 3, 1, 0},
       "pipeline: expected at least one stage, chunk and micro-batch, got 3, 1 and 0"},
      {{Schedule::gpipe, 2, 2, 4}, "pipeline: gpipe has one chunk (vpp) a stage, got 2"},
      {{Schedule::zb_h2, 2, 3, 4}, "pipeline: zb-h2 has one chunk (vpp) a stage, got 3"},
      {{Schedule::interleaved, 2, 1, 4},
       "pipeline: interleaved has at least two chunks (vpp) a stage, got 1"},
      {{Schedule::zb_v, 2, 3, 4}, "pipeline: zb-v has two chunks (vpp) a stage, got 3"},
      {{Schedule::interleaved, 4, 2, 6},
       "pipeline: interleaved needs a number of micro-batches that its 4 stages divide, got 6"},
      {{Schedule::dualpipe, 3, 2, 6}, "pipeline: dualpipe needs an even number of stages, got 3"},
      {{Schedule::dualpipe, 4, 2, 6},
       "pipeline: dualpipe needs an even number of micro-batches, at least two for each of its 4 "
       "stages, got 6"},
      {{Schedule::dualpipe, 2, 2, 5},
       "pipeline: dualpipe needs an even number of micro-batches, at least two for each of its 2 "
       "stages, got 5"},
      {{Schedule::gpipe, 1'000'000, 1, 1'000'000},
       "pipeline: 1000000 stages of 1 chunks and 1000000 micro-batches are more than 200000000 "
       "forward passes"},
  };
  for (const auto& [shape, message] : cases) {
    EXPECT_EQ(complaint([shape = shape] { check_pipeline(shape); }), message);
    EXPECT_EQ(complaint([shape = shape] { pipeline_schedule(shape, 0); }), message);
  }
}

TEST(PipelineSchedule, RefusesStagesAndChunksThatDoNotExist) {
  const PipelineShape shape{Schedule::gpipe, 3, 1, 4};
  EXPECT_EQ(complaint([&] { pipeline_schedule(shape, 3); }),
            "pipeline: expected a stage of 3, got 3");
  EXPECT_EQ(complaint([&] { in_flight(shape, -1); }), "pipeline: expected a stage of 3, got -1");
  EXPECT_EQ(complaint([] { virtual_stage(Schedule::zb_v, 3, 1, 0, 2); }),
            "pipeline: expected a stage of 3 and a chunk of 2, got stage 0 and chunk 2");
}

}  // namespace
}  // namespace foreplan
