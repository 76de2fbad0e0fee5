#include "sim/simulate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "sim/engine.hpp"
#include "sim/error.hpp"
#include "tests/sim/graphs.hpp"
#include "tests/sim/random_graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

SimulationResult run(const PricedGraph& priced, const Cluster& cluster) {
  return simulate(priced.graph, priced.costs, cluster);
}

// Device 0: a 0-3, b 3-5. Device 1: c waits for a, 3-4, then d 4-9.
TEST(Simulate, RunsStreamsInOrderAndWaitsForPredecessors) {
  PricedBuilder builder(2);
  const TaskId a = builder.work(0, 3s);
  builder.work(0, 2s);
  builder.work(1, 1s, {a});
  builder.work(1, 5s);
  const Timeline timeline = run(std::move(builder).build(), star(2, 1_GBps)).timeline;
  EXPECT_THAT(timeline.start, ElementsAre(0s, 3s, 3s, 4s));
  EXPECT_THAT(timeline.finish, ElementsAre(3s, 5s, 4s, 9s));
}

TEST(Simulate, RunsTasksWithoutStreamSideBySide) {
  PricedBuilder builder(1);
  for (int i = 0; i < 3; ++i) builder.add({.stream = kNoStream, .op = builder.op()}, 2s);
  const Timeline timeline = run(std::move(builder).build(), star(1, 1_GBps)).timeline;
  EXPECT_THAT(timeline.start, Each(Duration(0s)));
}

TEST(Simulate, RunsStreamsOfOneDeviceSideBySide) {
  PricedBuilder builder(1);
  builder.work(0, 2s);
  builder.add({.stream = kCollectiveStream, .op = builder.op()}, 2s);
  const Timeline timeline = run(std::move(builder).build(), star(1, 1_GBps)).timeline;
  EXPECT_THAT(timeline.start, ElementsAre(0s, 0s));
}

// Dispatch 1 s before each task of a stream: a 1-4, b 5-7. The third has no stream: 4-6, at once.
TEST(Simulate, DispatchesEachTaskOfAStreamLater) {
  PricedBuilder builder(1);
  const TaskId a = builder.work(0, 3s);
  builder.work(0, 2s, {a});
  builder.add({.stream = kNoStream, .op = builder.op(), .after = {a}}, 2s);
  builder.costs().dispatch = 1s;
  const Timeline timeline = run(std::move(builder).build(), star(1, 1_GBps)).timeline;
  EXPECT_THAT(timeline.start, ElementsAre(1s, 5s, 4s));
  EXPECT_THAT(timeline.finish, ElementsAre(4s, 7s, 6s));
}

// Hand-over 1 s. a on device 0: 0-3. b on device 1 sees its end at 4; c on device 0 at 3. d waits
// for b's end at 6 from the same device and for c's at 5 from the other: 6 both times.
TEST(Simulate, SeesTheEndOfATaskElsewhereLater) {
  PricedBuilder builder(2);
  const TaskId a = builder.work(0, 3s);
  const TaskId b = builder.work(1, 2s, {a});
  const TaskId c = builder.work(0, 2s, {a});
  builder.work(1, 1s, {b, c});
  builder.costs().handover = 1s;
  const Timeline timeline = run(std::move(builder).build(), star(2, 1_GBps)).timeline;
  EXPECT_THAT(timeline.start, ElementsAre(0s, 4s, 3s, 6s));
  EXPECT_THAT(timeline.finish, ElementsAre(3s, 6s, 5s, 7s));
}

// The stream is free at 6; the predecessor elsewhere is seen at 3 + 4 = 7; dispatch 2: start at 9.
TEST(Simulate, AddsDispatchToTheLaterOfStreamAndHandover) {
  PricedBuilder builder(2);
  const TaskId a = builder.work(0, 1s);
  builder.work(1, 4s);
  builder.work(1, 1s, {a});
  builder.costs().dispatch = 2s;
  builder.costs().handover = 4s;
  const Timeline timeline = run(std::move(builder).build(), star(2, 1_GBps)).timeline;
  EXPECT_THAT(timeline.start, ElementsAre(2s, 2s, 9s));
}

// 10 us until the first byte, then 3 MB at 1 GB/s: 3 ms.
TEST(Simulate, GivesATransferItsLatencyAndThenItsLinks) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 3_MB, 10us);
  const SimulationResult result = run(std::move(builder).build(), row(2, 1_GBps));
  EXPECT_THAT(result.timeline.finish, ElementsAre(3010us));
  ASSERT_EQ(result.links.size(), 2U);
  EXPECT_EQ(result.links[0].busy, 3ms);  // not while the latency passes
  EXPECT_EQ(result.links[0].bytes, 3_MB);
  EXPECT_EQ(result.links[1].busy, 0ms);
  EXPECT_EQ(result.links[1].bytes, 0_B);
}

TEST(Simulate, TakesNoLinkTimeWithinADevice) {
  PricedBuilder builder(2);
  builder.transfer({0, 0}, 3_MB, 10us);
  builder.transfer({0, 1}, 1_MB);
  const SimulationResult result = run(std::move(builder).build(), row(2, 1_GBps));
  EXPECT_THAT(result.timeline.finish, ElementsAre(10us, 1ms));
  EXPECT_EQ(result.links[0].bytes, 1_MB);
}

// n flows of sizes s_1 <= ... <= s_n on one link of capacity C all start together:
// t_k = (sum of s_i over i < k + (n - k + 1) s_k) / C. With multiples of 27720 = lcm(1..12) bytes
// at 1 GB/s every share and every t_k is whole in nanoseconds.
TEST(Simulate, FlowsOnOneLinkFinishAsTheClosedFormSays) {
  for (int n = 1; n <= 12; ++n) {
    PricedBuilder builder(2);
    std::vector<Bytes> sizes;
    for (int k = 0; k < n; ++k) sizes.push_back(27'720_B * (1 + k * k % 7 + k));
    std::sort(sizes.begin(), sizes.end());
    for (const Bytes size : sizes) builder.transfer({0, 1}, size);
    const SimulationResult result = run(std::move(builder).build(), row(2, 1_GBps));
    Bytes smaller;
    for (int k = 0; k < n; ++k) {
      const auto at = static_cast<std::size_t>(k);
      EXPECT_EQ(result.timeline.finish[at], (smaller + sizes[at] * (n - k)) / 1_GBps);
      smaller += sizes[at];
    }
    // Work is conserved: the link is busy until the last byte, at its full capacity.
    EXPECT_EQ(result.links[0].bytes, smaller);
    EXPECT_EQ(result.links[0].busy, smaller / 1_GBps);
  }
}

// Link of 1 GB/s. x: 4 MB from 0. y: 1 MB from 1 ms. By then x has 3 MB left; both move at half
// speed; y is done at 3 ms, when x has 2 MB left, done at 5 ms. z: 1 MB from 7 ms to 8 ms, so the
// link rests from 5 to 7.
TEST(Simulate, SolvesSharesAnewWhenFlowsStartAndStop) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 4_MB);
  builder.transfer({0, 1}, 1_MB, 1ms);
  builder.transfer({0, 1}, 1_MB, 7ms);
  const SimulationResult result = run(std::move(builder).build(), row(2, 1_GBps));
  EXPECT_THAT(result.timeline.finish, ElementsAre(5ms, 3ms, 8ms));
  EXPECT_EQ(result.links[0].busy, 6ms);
  EXPECT_EQ(result.links[0].bytes, 6_MB);
}

// The row d0 - d1 - d2 at 1 GB/s. a: 0 to 2, 2 MB. b: 0 to 1, 1 MB; c: 1 to 2, 3 MB. All run at
// 0.5 GB/s. b is done at 2 ms with a 1 MB and c 2 MB to go; the link d1 - d2 still binds: a is done
// at 4 ms, c has 1 MB left and then 1 GB/s: 5 ms.
TEST(Simulate, SharesEveryLinkOfARoute) {
  PricedBuilder builder(3);
  builder.transfer({0, 2}, 2_MB);
  builder.transfer({0, 1}, 1_MB);
  builder.transfer({1, 2}, 3_MB);
  const SimulationResult result = run(std::move(builder).build(), row(3, 1_GBps));
  EXPECT_THAT(result.timeline.finish, ElementsAre(4ms, 2ms, 5ms));
  EXPECT_EQ(result.links[0].busy, 4ms);  // d0 to d1, by a and b
  EXPECT_EQ(result.links[2].busy, 5ms);  // d1 to d2, by a and c
  EXPECT_EQ(result.links[0].bytes, 3_MB);
  EXPECT_EQ(result.links[2].bytes, 5_MB);
}

TEST(Simulate, SharesAHalfDuplexLinkBetweenItsDirections) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 1_MB);
  builder.transfer({1, 0}, 1_MB);
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT(run(priced, row(2, 1_GBps, 0s, true)).timeline.finish, Each(Duration(1ms)));
  EXPECT_THAT(run(priced, row(2, 1_GBps, 0s, false)).timeline.finish, Each(Duration(2ms)));
}

// Three equal flows over one link of 1 GB/s get a third each; 1 MB each: 3 ms, though no third is a
// whole number of anything.
TEST(Simulate, DoesNotDriftWithSharesThatAreNotWhole) {
  PricedBuilder builder(2);
  for (int i = 0; i < 3; ++i) builder.transfer({0, 1}, 1_MB);
  EXPECT_THAT(run(std::move(builder).build(), row(2, 1_GBps)).timeline.finish, Each(Duration(3ms)));
}

/// A ring all-reduce by hand: in round r every rank receives from its left neighbour what that had
/// at the end of round r - 1.
PricedGraph ring_all_reduce(int ranks, Bytes size, Duration latency) {
  PricedBuilder builder(ranks);
  std::vector<TaskId> last;
  for (int round = 0; round < 2 * (ranks - 1); ++round) {
    std::vector<TaskId> now;
    for (int rank = 0; rank < ranks; ++rank) {
      const int left = (rank + ranks - 1) % ranks;
      std::vector<TaskId> after;
      if (round > 0) {
        after = {last[static_cast<std::size_t>(left)], last[static_cast<std::size_t>(rank)]};
      }
      now.push_back(builder.transfer({left, rank}, size / ranks, latency, after));
    }
    last = now;
  }
  return std::move(builder).build();
}

// 2(n - 1)(alpha + S / (n beta)): every chunk has a link to itself. S is a multiple of 840 = lcm of
// 1 to 8, so chunks are whole.
TEST(Simulate, RingAllReduceTakesItsClosedForm) {
  for (int n = 1; n <= 8; ++n) {
    const SimulationResult result = run(ring_all_reduce(n, 840_KB, 5us), star(n, 1_GBps));
    EXPECT_EQ(makespan(result.timeline), 2 * (n - 1) * (5us + 840_KB / n / 1_GBps)) << n;
    for (const LinkUse& use : result.links) {
      EXPECT_EQ(use.bytes, 2 * (n - 1) * (840_KB / n));
      EXPECT_EQ(use.busy, 2 * (n - 1) * (840_KB / n / 1_GBps));
    }
  }
}

TEST(Simulate, ReplayAndEventsAgreeWhereNothingFlows) {
  std::mt19937 random(5);
  const Cluster cluster = star(4, 1_GBps);
  for (int trial = 0; trial < 200; ++trial) {
    const PricedGraph priced = random_graph(random, false);
    const Timeline replayed = replay(priced.graph, priced.costs);
    const Timeline events = Engine(priced.graph, cluster).run(priced.costs).timeline;
    ASSERT_EQ(replayed.start, events.start);
    ASSERT_EQ(replayed.finish, events.finish);
    ASSERT_EQ(simulate(priced.graph, priced.costs, cluster).timeline.finish, replayed.finish);
  }
}

// Links so fast that every flow takes less than half a picosecond: as if nothing flowed.
TEST(Simulate, AgreesWithReplayInTheLimitOfFastLinks) {
  std::mt19937 random(6);
  const Cluster cluster = star(4, Bandwidth{1e18});
  for (int trial = 0; trial < 50; ++trial) {
    PricedGraph priced = random_graph(random, true);
    const Timeline events = run(priced, cluster).timeline;
    for (Bytes& flow : priced.costs.flow) flow = 0_B;
    ASSERT_EQ(replay(priced.graph, priced.costs).finish, events.finish);
  }
}

TEST(Simulate, MovesEveryByteOnceOverEveryLinkOfItsRoute) {
  std::mt19937 random(8);
  const Cluster cluster = star(4, 1_GBps);
  for (int trial = 0; trial < 50; ++trial) {
    const PricedGraph priced = random_graph(random, true);
    const SimulationResult result = run(priced, cluster);
    std::vector<Bytes> expected(cluster.links().size());
    for (std::size_t t = 0; t < priced.graph.size(); ++t) {
      if (priced.graph.source[t] == priced.graph.device[t]) continue;
      expected[2 * index(priced.graph.source[t])] += priced.costs.flow[t];
      expected[2 * index(priced.graph.device[t]) + 1] += priced.costs.flow[t];
    }
    for (std::size_t l = 0; l < expected.size(); ++l) {
      EXPECT_EQ(result.links[l].bytes, expected[l]);
      EXPECT_GE(result.links[l].busy, expected[l] / 1_GBps);
      EXPECT_LE(result.links[l].busy, makespan(result.timeline));
    }
  }
}

TEST(Simulate, NeverStartsBeforeWhatItWaitsFor) {
  std::mt19937 random(9);
  for (int trial = 0; trial < 50; ++trial) {
    const PricedGraph priced = random_graph(random, true);
    const Timeline timeline = run(priced, star(4, 1_GBps)).timeline;
    for (std::size_t t = 0; t < priced.graph.size(); ++t) {
      EXPECT_GE(timeline.finish[t], timeline.start[t] + priced.costs.duration[t]);
      for (const TaskId p : priced.graph.after[t]) {
        EXPECT_GE(timeline.start[t], timeline.finish[index(p)]);
      }
    }
  }
}

// All sizes and times tripled, bandwidths kept: everything takes three times as long. Rounding to
// whole picoseconds may cost one for each change of rates on the way.
TEST(Simulate, ScalesWithAllItsTimesAndSizes) {
  std::mt19937 random(10);
  const Cluster cluster = star(4, 1_GBps);
  for (int trial = 0; trial < 50; ++trial) {
    PricedGraph priced = random_graph(random, true);
    const Duration once = makespan(run(priced, cluster).timeline);
    for (Duration& duration : priced.costs.duration) duration *= 3;
    for (Bytes& flow : priced.costs.flow) flow = flow * 3;
    priced.costs.dispatch *= 3;
    priced.costs.handover *= 3;
    const Duration thrice = makespan(run(priced, cluster).timeline);
    EXPECT_LE(std::abs((thrice - 3 * once).count()), 200);
  }
}

TEST(Simulate, GivesTheSameAnswerTwice) {
  std::mt19937 random(12);
  const Cluster cluster = star(4, 1_GBps);
  const PricedGraph priced = random_graph(random, true);
  const SimulationResult first = run(priced, cluster), second = run(priced, cluster);
  EXPECT_EQ(first.timeline.start, second.timeline.start);
  EXPECT_EQ(first.timeline.finish, second.timeline.finish);
}

TEST(Simulate, OfNothingTakesNoTime) {
  const PricedGraph priced = PricedBuilder(1).build();
  EXPECT_EQ(makespan(run(priced, star(1, 1_GBps)).timeline), 0s);
}

TEST(Simulate, RejectsCostsThatDoNotFitTheGraph) {
  const auto priced = [] {
    PricedBuilder builder(2);
    builder.add({.op = builder.op(), .name = "a"}, 1s);
    builder.transfer({0, 1}, 1_MB);
    return std::move(builder).build();
  };
  const Cluster cluster = star(2, 1_GBps);
  PricedGraph short_costs = priced();
  short_costs.costs.flow.pop_back();
  EXPECT_THAT(
      [&] { run(short_costs, cluster); },
      ThrowsMessage<Error>("the graph has 2 tasks, but the costs have 2 durations and 1 flows"));
  PricedGraph negative = priced();
  negative.costs.duration[0] = -1s;
  EXPECT_THAT([&] { run(negative, cluster); },
              ThrowsMessage<Error>("task 'a' has a negative cost"));
  PricedGraph flowing = priced();
  flowing.costs.flow[0] = 1_B;
  EXPECT_THAT([&] { run(flowing, cluster); },
              ThrowsMessage<Error>("task 'a' is no transfer but has a flow"));
  PricedGraph early = priced();
  early.costs.handover = -1s;
  EXPECT_THAT([&] { run(early, cluster); },
              ThrowsMessage<Error>("expected dispatch and handover of at least 0 s"));
}

TEST(Simulate, RejectsAGraphOfMoreDevicesThanTheClusterHas) {
  PricedBuilder builder(3);
  builder.work(2, 1s);
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT([&] { run(priced, star(2, 1_GBps)); },
              ThrowsMessage<Error>("the task graph uses 3 devices, but cluster 'star' has 2"));
}

TEST(Simulate, RejectsATransferThatNeverEnds) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 1_GB);
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT(
      [&] { run(priced, row(2, Bandwidth{1e-3})); },
      ThrowsMessage<Error>("transfer 'transfer 0->1' takes 1e+12 s, which is out of range"));
}

TEST(Replay, RejectsTransfersThatFlow) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 1_B);
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT([&] { replay(priced.graph, priced.costs); },
              ThrowsMessage<Error>("tasks share links or processors: replay knows durations only"));
}

// Handed out 2 s apart, in the order of the graph: the second of device 0 waits for its turn.
TEST(Simulate, TasksAreIssuedOneBehindTheOther) {
  PricedBuilder builder(2);
  builder.work(0, 1s);
  builder.work(1, 5s);
  builder.work(0, 1s);
  builder.costs().issued = {0s, 2s, 4s};
  const PricedGraph graph = std::move(builder).build();
  EXPECT_THAT(run(graph, star(2, 1_GBps)).timeline.start, ElementsAre(0s, 2s, 4s));
  PricedGraph shared = graph;
  shared.costs.demand.assign(3, Demand{});
  EXPECT_THAT(run(shared, star(2, 1_GBps)).timeline.start, ElementsAre(0s, 2s, 4s));
  shared.costs.issued = {0s};
  EXPECT_THROW(run(shared, star(2, 1_GBps)), Error);
}

}  // namespace
}  // namespace foreplan
