#include "sim/replayer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "sim/error.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"
#include "tests/sim/random_graphs.hpp"
#include "tests/sim/reference_simulation.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

// Device 0: a 0-3, b 3-5. Device 1 sees a 1 s later: c 4-5, then d 5-10.
TEST(Replayer, RunsStreamsInOrderAndWaitsForPredecessors) {
  PricedBuilder builder(2);
  const TaskId a = builder.work(0, 3s);
  builder.work(0, 2s);
  builder.work(1, 1s, {a});
  builder.work(1, 5s);
  builder.costs().handover = 1s;
  const PricedGraph priced = std::move(builder).build();
  Replayer replayer(priced.graph);
  EXPECT_EQ(replayer.makespan(priced.costs), 10s);
  const Timeline timeline = replayer.timeline(priced.costs);
  EXPECT_THAT(timeline.start, ElementsAre(0s, 3s, 4s, 5s));
  EXPECT_THAT(timeline.finish, ElementsAre(3s, 5s, 5s, 10s));
}

TEST(Replayer, AgreesWithReplayAndWithTheDefinition) {
  std::mt19937 random(21);
  for (int trial = 0; trial < 200; ++trial) {
    PricedGraph priced = random_graph(random, false);
    const Duration issue(random() % 3 * 20);
    priced.costs.issued.resize(issue > Duration::zero() ? priced.graph.size() : 0);
    for (std::size_t i = 0; i < priced.costs.issued.size(); ++i) {
      priced.costs.issued[index(priced.graph.order[i])] = static_cast<std::int64_t>(i) * issue;
    }
    Replayer replayer(priced.graph);
    const Timeline timeline = replayer.timeline(priced.costs);
    ASSERT_EQ(timeline.finish, reference_finish(priced.graph, priced.costs));
    ASSERT_EQ(timeline.start, replay(priced.graph, priced.costs).start);
    ASSERT_EQ(replayer.makespan(priced.costs), makespan(timeline));
  }
}

// One after the other on one replayer, each as if it were the first.
TEST(Replayer, RemembersNothingOfTheCostsBefore) {
  std::mt19937 random(22);
  PricedGraph priced = random_graph(random, false);
  Replayer replayer(priced.graph);
  Timeline timeline;
  for (int trial = 0; trial < 20; ++trial) {
    for (Duration& duration : priced.costs.duration) duration = Duration(random() % 1000);
    priced.costs.handover = Duration(random() % 50);
    replayer.replay(priced.costs, timeline);
    ASSERT_EQ(timeline.finish, reference_finish(priced.graph, priced.costs));
  }
}

TEST(Replayer, ScalesWithAllItsTimes) {
  std::mt19937 random(23);
  for (int trial = 0; trial < 50; ++trial) {
    PricedGraph priced = random_graph(random, false);
    Replayer replayer(priced.graph);
    const Duration once = replayer.makespan(priced.costs);
    for (Duration& duration : priced.costs.duration) duration *= 7;
    priced.costs.dispatch *= 7;
    priced.costs.handover *= 7;
    ASSERT_EQ(replayer.makespan(priced.costs), 7 * once);
  }
}

// A static order without sharing: a task that takes less time lengthens nothing.
TEST(Replayer, NeverTakesLongerForAShorterTask) {
  std::mt19937 random(24);
  PricedGraph priced = random_graph(random, false);
  Replayer replayer(priced.graph);
  Duration before = replayer.makespan(priced.costs);
  for (int trial = 0; trial < 200; ++trial) {
    priced.costs.duration[random() % priced.graph.size()] /= 2;
    const Duration now = replayer.makespan(priced.costs);
    ASSERT_LE(now, before);
    before = now;
  }
}

// d waits for a, b and c of device 0's stream, of which c is the last: one dependency of three. e
// stands behind d in its stream and names it: none.
TEST(Replayer, LooksOnlyAtTheLastPredecessorOfEachStream) {
  PricedBuilder builder(2);
  const TaskId a = builder.work(0, 1s);
  const TaskId b = builder.work(0, 1s);
  const TaskId c = builder.work(0, 1s);
  const TaskId d = builder.work(1, 1s, {a, c, b});
  builder.work(1, 1s, {d});
  const PricedGraph priced = std::move(builder).build();
  Replayer replayer(priced.graph);
  EXPECT_EQ(replayer.dependencies(), 1U);
  EXPECT_THAT(replayer.timeline(priced.costs).finish, ElementsAre(1s, 2s, 3s, 4s, 5s));
}

TEST(Replayer, OfNothingTakesNoTime) {
  const PricedGraph priced = PricedBuilder(1).build();
  EXPECT_EQ(Replayer(priced.graph).makespan(priced.costs), 0s);
}

TEST(Replayer, RejectsCostsThatDoNotFitOrShare) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 1_B);
  PricedGraph priced = std::move(builder).build();
  Replayer replayer(priced.graph);
  EXPECT_THAT([&] { replayer.makespan(priced.costs); },
              ThrowsMessage<Error>("tasks share links or processors: replay knows durations only"));
  priced.costs.flow = {0_B};
  priced.costs.duration = {-1s};
  EXPECT_THAT([&] { replayer.timeline(priced.costs); },
              ThrowsMessage<Error>("task 'transfer 0->1' has a negative cost"));
  priced.costs.duration.clear();
  EXPECT_THAT(
      [&] { replayer.makespan(priced.costs); },
      ThrowsMessage<Error>("the graph has 1 tasks, but the costs have 0 durations and 1 flows"));
}

}  // namespace
}  // namespace foreplan
