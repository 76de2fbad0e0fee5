#include "sim/perturbation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

// Device 0: 1 s; device 1: 2 s, and a transfer to it of 3 s before its bytes. Only the 2 s grow.
TEST(SlowDown, MakesTheComputeOfOneDeviceTakeLonger) {
  PricedBuilder builder(2);
  builder.work(0, 1s);
  builder.work(1, 2s);
  builder.transfer({0, 1}, 1_MB, 3s);
  PricedGraph priced = std::move(builder).build();
  slow_down(priced.costs, priced.graph, {DeviceId{1}, 1.3});
  EXPECT_THAT(priced.costs.duration, ElementsAre(1s, 2600ms, 3s));
  EXPECT_THAT(priced.costs.flow, ElementsAre(0_B, 0_B, 1_MB));
}

// One device: all that it does is compute, so the makespan scales by the factor.
TEST(SlowDown, ScalesAGraphOfOneDevice) {
  for (const double factor : {0.5, 1.0, 3.0}) {
    PricedBuilder builder(1);
    for (int i = 1; i <= 9; ++i) builder.work(0, i * 2ns);
    PricedGraph priced = std::move(builder).build();
    slow_down(priced.costs, priced.graph, {DeviceId{0}, factor});
    const Cluster cluster = star(1, 1_GBps);
    EXPECT_EQ(makespan(simulate(priced.graph, priced.costs, cluster).timeline),
              Duration(static_cast<std::int64_t>(90'000 * factor)));
  }
}

TEST(SlowDown, RejectsDevicesAndFactorsThatAreNone) {
  PricedBuilder builder(2);
  builder.work(0, 1s);
  PricedGraph priced = std::move(builder).build();
  EXPECT_THAT(
      [&] {
        slow_down(priced.costs, priced.graph, {DeviceId{2}, 1.3});
      },
      ThrowsMessage<Error>("expected a slow device from 0 to 1, got 2"));
  EXPECT_THAT(
      [&] {
        slow_down(priced.costs, priced.graph, {DeviceId{1}, 0});
      },
      ThrowsMessage<Error>("expected a factor above 0 for slow device 1, got 0"));
  EXPECT_THAT(
      [&] {
        slow_down(priced.costs, priced.graph, {DeviceId{0}, 1e20});
      },
      ThrowsMessage<Error>("1 s times 1e+20 is out of range"));
}

// 100,000 factors of deviation d: their mean is within 4 d / sqrt(100,000) = 0.013 d of 1 but once in
// 16,000 seeds, and this seed is fixed. The deviation of a log-normal sample is less sure: 3 %.
TEST(Jitter, FactorsHaveMeanOneAndTheDeviationAskedFor) {
  for (const double deviation : {0.01, 0.1, 0.3}) {
    double sum = 0, squares = 0;
    constexpr int kTasks = 1000, kRuns = 100;
    for (int run = 0; run < kRuns; ++run) {
      for (int task = 0; task < kTasks; ++task) {
        const double factor =
            jitter_factor({deviation, 7}, static_cast<std::uint64_t>(run), TaskId{task});
        ASSERT_GT(factor, 0);
        sum += factor;
        squares += (factor - 1) * (factor - 1);
      }
    }
    EXPECT_NEAR(sum / (kTasks * kRuns), 1, 0.013 * deviation);
    EXPECT_NEAR(std::sqrt(squares / (kTasks * kRuns)), deviation, 0.03 * deviation);
  }
}

TEST(Jitter, DependsOnSeedRunAndTaskAndNothingElse) {
  const Jitter jitter{0.1, 7};
  const double factor = jitter_factor(jitter, 3, TaskId{5});
  EXPECT_EQ(jitter_factor(jitter, 3, TaskId{5}), factor);
  EXPECT_NE(jitter_factor(jitter, 3, TaskId{6}), factor);
  EXPECT_NE(jitter_factor(jitter, 4, TaskId{5}), factor);
  EXPECT_NE(jitter_factor({0.1, 8}, 3, TaskId{5}), factor);
}

PricedGraph two_devices() {
  PricedBuilder builder(2);
  for (int i = 0; i < 20; ++i) {
    const TaskId left = builder.work(0, 5us);
    builder.transfer({0, 1}, 1_KB, 1us, {left});
    builder.work(1, 4us, {left});
  }
  return std::move(builder).build();
}

TEST(Jitter, OfNoneGivesTheSimulatedMakespanEveryTime) {
  const PricedGraph priced = two_devices();
  const Cluster cluster = star(2, 1_GBps);
  const MakespanSample sample = simulate_jitter(priced.graph, priced.costs, cluster, {0, 1}, 5);
  const Duration expected = makespan(simulate(priced.graph, priced.costs, cluster).timeline);
  EXPECT_EQ(sample.percentile(0), expected);
  EXPECT_EQ(sample.percentile(100), expected);
  EXPECT_EQ(sample.mean(), expected);
}

TEST(Jitter, GivesTheSameRunsTwiceAndOthersForAnotherSeed) {
  PricedGraph priced = two_devices();
  const Cluster cluster = star(2, 1_GBps);
  for (const bool flows : {true, false}) {
    if (!flows) priced.costs.flow.assign(priced.graph.size(), 0_B);
    const auto sample = [&](std::uint64_t seed) {
      return simulate_jitter(priced.graph, priced.costs, cluster, {0.2, seed}, 50);
    };
    for (const double percent : {0.0, 50.0, 100.0}) {
      EXPECT_EQ(sample(1).percentile(percent), sample(1).percentile(percent));
      EXPECT_NE(sample(1).percentile(percent), sample(2).percentile(percent));
    }
    EXPECT_LT(sample(1).percentile(5), sample(1).percentile(95));
  }
}

// A maximum of means is no more than the mean of maxima: jitter of mean 1 does not make a step that
// waits for the slowest of two devices faster, give or take the chance of 400 runs.
TEST(Jitter, MakesWaitingLonger) {
  PricedBuilder builder(2);
  builder.work(0, 1ms);
  builder.work(1, 1ms);
  const PricedGraph priced = std::move(builder).build();
  const MakespanSample sample =
      simulate_jitter(priced.graph, priced.costs, star(2, 1_GBps), {0.1, 1}, 400);
  // The larger of two independent normals of deviation 0.1 has mean 1 + 0.1 / sqrt(pi) = 1.056.
  EXPECT_NEAR(seconds(sample.mean()), 1.056e-3, 0.02e-3);
}

// Of 1 to 4 s: ranks ceil(0.5 * 4) = 2, ceil(0.51 * 4) = 3, ceil(0.75 * 4) = 3.
TEST(MakespanSample, TakesPercentilesByNearestRank) {
  const MakespanSample sample({4s, 1s, 3s, 2s});
  EXPECT_EQ(sample.percentile(0), 1s);
  EXPECT_EQ(sample.percentile(50), 2s);
  EXPECT_EQ(sample.percentile(51), 3s);
  EXPECT_EQ(sample.percentile(75), 3s);
  EXPECT_EQ(sample.percentile(100), 4s);
  EXPECT_EQ(sample.mean(), 2500ms);
  EXPECT_THAT([&] { (void)sample.percentile(101); },
              ThrowsMessage<Error>("expected a percentile from 0 to 100, got 101"));
}

TEST(Jitter, RejectsWhatIsNoJitter) {
  const PricedGraph priced = two_devices();
  const Cluster cluster = star(2, 1_GBps);
  EXPECT_THAT(
      [&] {
        simulate_jitter(priced.graph, priced.costs, cluster, {-0.1, 1}, 2);
      },
      ThrowsMessage<Error>("expected a jitter of at least 0, got -0.1"));
  EXPECT_THAT(
      [&] {
        simulate_jitter(priced.graph, priced.costs, cluster, {0.1, 1}, 0);
      },
      ThrowsMessage<Error>("expected at least 1 run, got 0"));
}

}  // namespace
}  // namespace foreplan
