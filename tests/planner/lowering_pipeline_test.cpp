#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "planner/lowering.hpp"
#include "planner/pipeline_evaluator.hpp"
#include "sim/simulate.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/graph_facts.hpp"
#include "tests/planner/models.hpp"

// The closed forms of pipelines, exactly, on lowered graphs. A stage is a linear layer, which takes no
// time, and a ReLU, whose width tells the stage, so that forward and backward of a stage are one task
// each.

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// Forward and backward of each stage, for one micro-batch; weights (of the linear layer) where told.
struct StageTimes {
  std::vector<Duration> forward, backward;
  std::vector<Duration> weight{};
  std::size_t stages() const { return forward.size(); }
};

/// The width of stage s is 2 + s, so that no two have ops of the same shape.
OpGraph staged_model(std::size_t stages) {
  ModelBuilder builder(3);
  LayerId at = kModelInput;
  for (std::size_t s = 0; s < stages; ++s) {
    const std::string suffix = std::to_string(s);
    at = builder.relu("relu" + suffix,
                      builder.linear("fc" + suffix, at, 2 + static_cast<std::int64_t>(s)));
  }
  return std::move(builder).build();
}

struct PipelineRun {
  TaskGraph graph;
  Timeline timeline;
};

/// Lowers and simulates `micro_batches` of one sample each.
/// @param chunks  a stage; times are those of virtual stages
PipelineRun run(const StageTimes& times, Schedule schedule, int micro_batches, Duration hop = {},
                int chunks = 1) {
  const auto stages = static_cast<int>(times.stages()) / chunks;
  const Strategy strategy{.pp = stages,
                          .vpp = chunks,
                          .micro_batch = 1,
                          .schedule = schedule,
                          .layers = std::vector<int>(times.stages(), 2)};
  FakeCostModel costs;
  costs.op = [&](const OpKey& key) {
    if (key.op == "linear" && key.pass == Pass::backward_weight && !times.weight.empty()) {
      return times.weight[static_cast<std::size_t>(key.shape[2] - 2)];
    }
    if (key.op != "relu") return Duration::zero();
    const auto stage = static_cast<std::size_t>(key.shape[0] - 2);
    return key.pass == Pass::forward ? times.forward[stage] : times.backward[stage];
  };
  costs.copy = [hop](Bytes) { return hop; };
  const Cluster cluster = fake_cluster(stages);
  TaskGraph graph = lower(staged_model(times.stages()), strategy, micro_batches, {});
  const Costs prices = cost(graph, cluster, costs);
  Timeline timeline = simulate(graph, prices, cluster).timeline;
  return {std::move(graph), std::move(timeline)};
}

StageTimes uniform(std::size_t stages, Duration f, Duration b) {
  return {std::vector<Duration>(stages, f), std::vector<Duration>(stages, b)};
}

// p = 3, m = 4, f = 2 us, b = 3 us: (4 + 2)(2 + 3) us = 30 us.
TEST(LoweredPipeline, OfUniformStagesMatchesAHandComputedCase) {
  EXPECT_EQ(makespan(run(uniform(3, 2us, 3us), Schedule::gpipe, 4).timeline), Duration{30us});
  EXPECT_EQ(makespan(run(uniform(3, 2us, 3us), Schedule::one_f_one_b, 4).timeline), Duration{30us});
}

// (m + p - 1)(f + b) for both schedules, also for m < p.
TEST(LoweredPipeline, OfUniformStagesTakesTheClosedForm) {
  for (std::size_t p = 2; p <= 5; ++p) {
    for (int m = 1; m <= 8; ++m) {
      const Duration expected = (m + static_cast<int>(p) - 1) * Duration{7us + 11us};
      for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b}) {
        EXPECT_EQ(makespan(run(uniform(p, 7us, 11us), schedule, m).timeline), expected)
            << "p=" << p << " m=" << m << " " << name(schedule);
      }
    }
  }
}

Duration sum(const std::vector<Duration>& times) {
  return std::accumulate(times.begin(), times.end(), Duration::zero());
}
Duration longest(const std::vector<Duration>& times) {
  return *std::max_element(times.begin(), times.end());
}

// GPipe with stages of their own times and c a hop: sum f + (m-1) max f + sum b + (m-1) max b
// + 2(p-1) c. The copy-in stream takes one copy at a time; c is below every f and b, so none queues.
TEST(LoweredPipeline, OfUnevenStagesUnderGPipeTakesTheClosedForm) {
  const StageTimes times{{4us, 9us, 2us, 5us}, {6us, 3us, 13us, 8us}};
  for (const Duration hop : {Duration{0us}, Duration{2us}}) {
    for (int m = 1; m <= 6; ++m) {
      const Duration expected = sum(times.forward) + (m - 1) * longest(times.forward) +
                                sum(times.backward) + (m - 1) * longest(times.backward) + 6 * hop;
      EXPECT_EQ(makespan(run(times, Schedule::gpipe, m, hop).timeline), expected) << "m=" << m;
    }
  }
}

// No schedule is faster than a stage's own work behind the forwards before it and ahead of the
// backwards after: max_i [m (f_i + b_i) + sum_{j<i} (f_j + b_j)], nor than one micro-batch alone.
TEST(LoweredPipeline, IsNeverFasterThanTheLowerBound) {
  const StageTimes times{{4us, 9us, 2us, 5us}, {6us, 3us, 13us, 8us}};
  for (int m = 1; m <= 6; ++m) {
    Duration bound = sum(times.forward) + sum(times.backward);
    Duration before{};
    for (std::size_t i = 0; i < times.stages(); ++i) {
      const Duration own = times.forward[i] + times.backward[i];
      bound = std::max(bound, m * own + before);
      before += own;
    }
    EXPECT_GE(makespan(run(times, Schedule::gpipe, m).timeline), bound);
    EXPECT_GE(makespan(run(times, Schedule::one_f_one_b, m).timeline), bound);
  }
}

void expect_evaluated(const StageTimes& times, const PipelineShape& shape, Duration hop) {
  PipelineCosts costs{.stages = {}, .hops = std::vector<HopCost>(times.stages() - 1, {hop, hop})};
  for (std::size_t s = 0; s < times.stages(); ++s) {
    costs.stages.push_back({times.forward[s], times.backward[s], times.weight[s], times.weight[s]});
  }
  PipelineEvaluator::Scratch scratch;
  EXPECT_EQ(makespan(run(times, shape.schedule, shape.micro_batches, hop, shape.chunks).timeline),
            PipelineEvaluator(shape).makespan(costs, scratch))
      << name(shape.schedule) << " m=" << shape.micro_batches << " c=" << hop.count();
}

// One step, lowered and simulated, against the evaluator. The linear layer's weights come last in a
// stage's backward, behind the gradient that its neighbour waits for. Copies stand in line in a stream of
// their own, which costs nothing as long as each takes less than any of the work.
TEST(LoweredPipeline, TakesWhatTheEvaluatorSays) {
  const StageTimes times{{4us, 9us, 5us, 6us}, {6us, 3us, 13us, 8us}, {3us, 4us, 3us, 7us}};
  for (const Schedule schedule :
       {Schedule::gpipe, Schedule::one_f_one_b, Schedule::zb_h1, Schedule::zb_h2}) {
    for (const int m : {1, 2, 4, 7, 16}) {
      expect_evaluated(times, {schedule, 4, 1, m}, 0us);
      expect_evaluated(times, {schedule, 4, 1, m}, 2us);
    }
  }
}

// Two stages of two or three chunks. Copies of different chunks stand in one line, so they take no time.
TEST(LoweredPipeline, OfChunksTakesWhatTheEvaluatorSays) {
  const StageTimes four{{4us, 9us, 5us, 6us}, {6us, 3us, 13us, 8us}, {3us, 4us, 3us, 7us}};
  const StageTimes six{{4us, 9us, 5us, 6us, 7us, 3us},
                       {6us, 3us, 13us, 8us, 5us, 4us},
                       {3us, 4us, 3us, 7us, 3us, 5us}};
  for (const int m : {2, 4, 6, 16}) {
    expect_evaluated(four, {Schedule::interleaved, 2, 2, m}, 0us);
    expect_evaluated(six, {Schedule::interleaved, 2, 3, m}, 0us);
    expect_evaluated(four, {Schedule::zb_v, 2, 2, m}, 0us);
  }
}

// (m v + p - 1)(f + b): p = 2, v = 2, m = 4, 7 + 11 us a chunk.
TEST(LoweredPipeline, OfInterleavedStagesTakesTheClosedForm) {
  EXPECT_EQ(makespan(run(uniform(4, 7us, 11us), Schedule::interleaved, 4, {}, 2).timeline),
            Duration{(4 * 2 + 2 - 1) * 18us});
}

// m (F + B + W) + (p - 1)(F + B - W): p = 3, m = 5, 7 + 11 + 4 us.
TEST(LoweredPipeline, OfZeroBubbleH1TakesTheClosedForm) {
  StageTimes times = uniform(3, 7us, 11us);
  times.weight.assign(3, Duration{4us});
  EXPECT_EQ(makespan(run(times, Schedule::zb_h1, 5).timeline), Duration{5 * 22us + 2 * 14us});
}

/// The most outputs of a stage's ReLU that live at once: one a micro-batch in flight.
int most_outputs_alive(const PipelineRun& run, int stage) {
  std::vector<std::pair<Duration, int>> changes;
  const auto is_output = [&](BufferId buffer, std::size_t allocator) {
    return run.graph.kind[allocator] == TaskKind::compute &&
           key_of(run.graph, allocator).op == "relu" &&
           key_of(run.graph, allocator).pass == Pass::forward &&
           run.graph.buffers[index(buffer)].device == DeviceId{stage};
  };
  std::vector<bool> output(run.graph.buffers.size(), false);
  for (std::size_t i = 0; i < run.graph.size(); ++i) {
    for (const BufferId buffer : run.graph.allocates[i]) {
      if (!is_output(buffer, i)) continue;
      output[index(buffer)] = true;
      changes.emplace_back(run.timeline.start[i], 1);
    }
  }
  for (std::size_t i = 0; i < run.graph.size(); ++i) {
    for (const BufferId buffer : run.graph.frees[i]) {
      if (output[index(buffer)]) changes.emplace_back(run.timeline.finish[i], -1);
    }
  }
  std::sort(changes.begin(), changes.end());  // at one instant frees first
  int alive = 0, most = 0;
  for (const auto& [at, change] : changes) most = std::max(most, alive += change);
  return most;
}

// GPipe holds all m, 1F1B min(m, p - s) on stage s.
TEST(LoweredPipeline, HoldsTheActivationsOfTheMicroBatchesInFlight) {
  for (const int p : {2, 3, 4}) {
    for (const int m : {1, 2, 3, 6}) {
      const StageTimes times = uniform(static_cast<std::size_t>(p), 7us, 11us);
      const PipelineRun gpipe = run(times, Schedule::gpipe, m);
      const PipelineRun alternating = run(times, Schedule::one_f_one_b, m);
      for (int s = 0; s < p; ++s) {
        EXPECT_EQ(most_outputs_alive(gpipe, s), m) << "p=" << p << " s=" << s;
        EXPECT_EQ(most_outputs_alive(alternating, s), std::min(m, p - s))
            << "p=" << p << " s=" << s;
      }
    }
  }
}

}  // namespace
}  // namespace foreplan
