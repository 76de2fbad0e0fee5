// Pipelines whose makespan has a closed form, simulated. Narayanan et al., Efficient Large-Scale
// Language Model Training on GPU Clusters, SC 2021, section 2.2, has the uniform ones.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "sim/simulate.hpp"
#include "tests/sim/pipelines.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

Duration simulated(const PricedGraph& priced) {
  return makespan(replay(priced.graph, priced.costs));
}

PipelineSpec uniform(int stages, int micro_batches, Duration forward, Duration backward) {
  const auto p = static_cast<std::size_t>(stages);
  return {.forward = std::vector<Duration>(p, forward),
          .backward = std::vector<Duration>(p, backward),
          .micro_batches = micro_batches};
}

Duration sum(const std::vector<Duration>& times) {
  return std::accumulate(times.begin(), times.end(), Duration::zero());
}

Duration most(const std::vector<Duration>& times) {
  return *std::max_element(times.begin(), times.end());
}

PipelineSpec random_pipeline(std::mt19937& random) {
  PipelineSpec spec;
  const std::size_t stages = 1 + random() % 6;
  for (std::size_t s = 0; s < stages; ++s) {
    spec.forward.emplace_back(1 + random() % 50);
    spec.backward.emplace_back(1 + random() % 90);
  }
  spec.micro_batches = 1 + static_cast<int>(random() % 9);
  spec.hop = Duration(random() % 20);
  return spec;
}

/// The largest of m(f_i + b_i) + sum over j < i of (f_j + b_j) + 2 i c over all stages i, and
/// sum(f + b) + 2(p - 1)c: what stage i computes, plus the way of its first micro-batch to it and
/// of its last back; and the way of one micro-batch.
Duration lower_bound(const PipelineSpec& spec) {
  Duration bound{}, before{};
  for (std::size_t i = 0; i < spec.forward.size(); ++i) {
    const Duration both = spec.forward[i] + spec.backward[i];
    const Duration way = before + 2 * static_cast<std::int64_t>(i) * spec.hop;
    bound = std::max({bound, spec.micro_batches * both + way, both + way});
    before += both;
  }
  return bound;
}

// p = 2, m = 2, f = 1 s, b = 2 s. Stage 0: F0 0-1, F1 1-2; stage 1: F0 1-2, F1 2-3, B0 3-5, B1 5-7;
// stage 0: B0 5-7, B1 7-9.
TEST(Pipeline, GPipeMatchesAHandComputedCase) {
  const PricedGraph priced = gpipe(uniform(2, 2, 1s, 2s));
  const Timeline timeline = replay(priced.graph, priced.costs);
  const std::vector<Duration> stage0(timeline.finish.begin(), timeline.finish.begin() + 4);
  const std::vector<Duration> stage1(timeline.finish.begin() + 4, timeline.finish.begin() + 8);
  EXPECT_EQ(stage0, (std::vector<Duration>{1s, 2s, 7s, 9s}));
  EXPECT_EQ(stage1, (std::vector<Duration>{2s, 3s, 5s, 7s}));
}

// The same by turns. Stage 0: F0 0-1, F1 1-2; stage 1: F0 1-2, B0 2-4, F1 4-5, B1 5-7; stage 0: B0
// 4-6, B1 7-9. No shorter, but stage 1 holds one micro-batch at a time.
TEST(Pipeline, OneForwardOneBackwardMatchesAHandComputedCase) {
  const PricedGraph priced = one_forward_one_backward(uniform(2, 2, 1s, 2s));
  const Timeline timeline = replay(priced.graph, priced.costs);
  const std::vector<Duration> stage0(timeline.finish.begin(), timeline.finish.begin() + 4);
  const std::vector<Duration> stage1(timeline.finish.begin() + 4, timeline.finish.begin() + 8);
  EXPECT_EQ(stage0, (std::vector<Duration>{1s, 2s, 6s, 9s}));
  EXPECT_EQ(stage1, (std::vector<Duration>{2s, 4s, 5s, 7s}));
}

// (m + p - 1)(f + b) + 2(p - 1)c.
TEST(Pipeline, GPipeTakesItsClosedForm) {
  for (int p = 1; p <= 8; ++p) {
    for (int m = 1; m <= 12; ++m) {
      for (const Duration f : {1us, 3us}) {
        for (const Duration c : {0us, 2us, 50us}) {
          PipelineSpec spec = uniform(p, m, f, 5us);
          spec.hop = c;
          EXPECT_EQ(simulated(gpipe(spec)), (m + p - 1) * (f + 5us) + 2 * (p - 1) * c)
              << "p " << p << " m " << m;
        }
      }
    }
  }
}

// A hand-over of c between devices is a hop of c. The transfer of no length that stands between is
// on the device that it goes to, so it is handed over to, and no more.
TEST(Pipeline, HandoverIsAHop) {
  PricedGraph priced = gpipe(uniform(4, 6, 3us, 5us));
  priced.costs.handover = 2us;
  EXPECT_EQ(simulated(priced), 9 * 8us + 2 * 3 * 2us);
}

// sum f + (m - 1) max f + sum b + (m - 1) max b + 2(p - 1)c.
TEST(Pipeline, UnevenGPipeTakesItsClosedForm) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 300; ++trial) {
    const PipelineSpec spec = random_pipeline(random);
    const int more = spec.micro_batches - 1;
    const auto hops = static_cast<std::int64_t>(2 * (spec.forward.size() - 1));
    EXPECT_EQ(simulated(gpipe(spec)), sum(spec.forward) + more * most(spec.forward) +
                                          sum(spec.backward) + more * most(spec.backward) +
                                          hops * spec.hop);
  }
}

// (m + p - 1)(f + b), also for m < p.
TEST(Pipeline, OneForwardOneBackwardTakesItsClosedForm) {
  for (int p = 1; p <= 8; ++p) {
    for (int m = 1; m <= 12; ++m) {
      for (const Duration f : {1us, 3us, 9us}) {
        EXPECT_EQ(simulated(one_forward_one_backward(uniform(p, m, f, 5us))),
                  (m + p - 1) * (f + 5us))
            << "p " << p << " m " << m;
      }
    }
  }
}

TEST(Pipeline, NeverBeatsItsLowerBound) {
  std::mt19937 random(2);
  int equal = 0;
  for (int trial = 0; trial < 500; ++trial) {
    const PipelineSpec spec = random_pipeline(random);
    const Duration bound = lower_bound(spec);
    const Duration by_turns = simulated(one_forward_one_backward(spec));
    EXPECT_GE(simulated(gpipe(spec)), bound);
    EXPECT_GE(by_turns, bound);
    if (by_turns == bound) ++equal;
  }
  EXPECT_GT(equal, 0);  // otherwise the bound may be far too low to test anything
}

TEST(Pipeline, ScalesWithAllItsTimes) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 100; ++trial) {
    PricedGraph priced = one_forward_one_backward(random_pipeline(random));
    priced.costs.dispatch = Duration(3);
    priced.costs.handover = Duration(5);
    const Duration once = simulated(priced);
    for (Duration& duration : priced.costs.duration) duration *= 7;
    priced.costs.dispatch *= 7;
    priced.costs.handover *= 7;
    EXPECT_EQ(simulated(priced), 7 * once);
  }
}

// In a fixed order without shared links a shorter task never lengthens the whole.
TEST(Pipeline, NeverGrowsWhenATaskShrinks) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 200; ++trial) {
    PricedGraph priced = one_forward_one_backward(random_pipeline(random));
    const Duration before = simulated(priced);
    Duration& one = priced.costs.duration[random() % priced.costs.duration.size()];
    one /= 2;
    EXPECT_LE(simulated(priced), before);
  }
}

}  // namespace
}  // namespace foreplan
