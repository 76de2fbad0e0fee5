#include "profiler/profiling.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/profiler/graphs.hpp"
#include "tests/profiler/paper_session.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// Runs graphs on paper: each task takes as long as its device does, starts `kDispatch` after it
/// could, and sees the end of one on another device `kHandover` later.
class FakeSession final : public Session {
 public:
  static constexpr Duration kDispatch = 1us;
  static constexpr Duration kHandover = 2us;

  explicit FakeSession(std::vector<Duration> task_times) : task_times_(std::move(task_times)) {}

  int devices() const override { return static_cast<int>(task_times_.size()); }
  std::size_t load(const TaskGraph& graph) override {
    graphs.push_back(graph);
    steps.push_back(0);
    return graphs.size() - 1;
  }
  MeasuredStep step(std::size_t loaded) override {
    const int slowness = slow.contains(++steps.at(loaded)) ? 1000 : 1;
    const TaskGraph& graph = graphs[loaded];
    std::map<std::pair<DeviceId, StreamId>, Duration> free;
    Timeline timeline{.start = std::vector<Duration>(graph.size()),
                      .finish = std::vector<Duration>(graph.size())};
    for (const TaskId task : graph.order) {
      const std::size_t i = index(task);
      Duration ready = free[{graph.device[i], graph.stream[i]}];
      for (const TaskId before : graph.after[i]) {
        const bool other = graph.device[index(before)] != graph.device[i];
        ready = std::max(ready, timeline.finish[index(before)] + (other ? kHandover : 0us));
      }
      timeline.start[i] = ready + kDispatch;
      timeline.finish[i] = timeline.start[i] + slowness * task_times_[index(graph.device[i])];
      free[{graph.device[i], graph.stream[i]}] = timeline.finish[i];
    }
    return {.timeline = std::move(timeline), .disturbed = {}};
  }

  std::vector<TaskGraph> graphs;
  std::vector<int> steps;  ///< by loaded graph: how often it ran
  std::set<int> slow;      ///< the steps, counted from 1, that take 1000 times as long

 private:
  std::vector<Duration> task_times_;  ///< by device
};

TaskGraph single_task() {
  TaskGraphBuilder builder(1);
  add_work(builder, 0, "relu");
  return std::move(builder).build();
}

// 60 ms hold six steps of 10 ms, and one more makes "at least so long" sure; 60 / 7 = 8.57, so 9.
TEST(StepsOfTurn, FillTheTurn) {
  EXPECT_EQ(steps_of_turn(10ms, {}), 7);
  EXPECT_EQ(steps_of_turn(7ms, {}), 9);
  EXPECT_EQ(steps_of_turn(10ms, {.turn = 150ms}), 16);
}

TEST(StepsOfTurn, KeepTheirLimits) {
  EXPECT_EQ(steps_of_turn(1s, {}), 3);
  EXPECT_EQ(steps_of_turn(1us, {}), 100);
  EXPECT_EQ(steps_of_turn(0us, {}), 100);
  EXPECT_EQ(steps_of_turn(1s, {.least_steps = 5}), 5);
  EXPECT_EQ(steps_of_turn(1us, {.most_steps = 8}), 8);
}

// One task of 9999 us behind a dispatch of 1 us: 10 ms, 7 steps a turn. Adding takes 2 steps, a round
// 2 to warm up and 7 that count.
TEST(Profiling, RunsEachGraphForATurnEachRound) {
  FakeSession session({9999us});
  Profiling profiling(session, {});
  profiling.add_sequence(single_task());
  EXPECT_EQ(session.steps, std::vector{2});
  profiling.round({});
  EXPECT_EQ(session.steps, std::vector{2 + 9});
  profiling.round({});
  EXPECT_EQ(session.steps, std::vector{2 + 9 + 9});
}

// Steps 1 and 2 belong to adding, 3 and 4 warm up, 5 to 11 count; then 12 and 13 warm up, 14 to 20.
TEST(Profiling, DoesNotCountWarmUps) {
  FakeSession session({9999us});
  session.slow = {3, 4, 12, 13};
  Profiling profiling(session, {});
  profiling.add_sequence(single_task());
  profiling.round({});
  profiling.round({});
  const Profile profile = profiling.profile({});
  ASSERT_EQ(profile.ops.size(), 1U);
  EXPECT_EQ(profile.ops[0].time.samples, 14);
  EXPECT_EQ(profile.ops[0].time.mean, 9999us);
  EXPECT_EQ(profile.ops[0].time.mad, 0us);
}

// One of the 14 steps that count takes 1000 times as long, so the mean is (13 + 1000) / 14 of 9999 us.
TEST(Profiling, CountsEverythingElse) {
  FakeSession session({9999us});
  session.slow = {20};
  Profiling profiling(session, {});
  profiling.add_sequence(single_task());
  profiling.round({});
  profiling.round({});
  const double mean = 9999e-6 * 1013 / 14;
  EXPECT_NEAR(seconds(profiling.profile({}).ops.at(0).time.mean), mean, 1e-12);
}

// The very first step of a graph is slow everywhere: were it the measure, turns would have 3 steps.
TEST(Profiling, TakesTheSecondStepForTheLengthOfTheTurn) {
  FakeSession session({9999us});
  session.slow = {1};
  Profiling profiling(session, {});
  profiling.add_sequence(single_task());
  profiling.round({});
  EXPECT_EQ(session.steps, std::vector{2 + 2 + 7});
}

TEST(Profiling, TellsItsProgress) {
  FakeSession session({9999us});
  Profiling profiling(session, {});
  profiling.add_sequence(single_task());
  profiling.add_sequence(single_task());
  std::vector<std::pair<std::size_t, std::size_t>> told;
  profiling.round([&](std::size_t done, std::size_t all) { told.emplace_back(done, all); });
  EXPECT_EQ(told, (std::vector<std::pair<std::size_t, std::size_t>>{{1, 2}, {2, 2}}));
}

TEST(Profiling, HasNoCommunicationWithOneDevice) {
  FakeSession session({1us});
  Profiling profiling(session, {});
  profiling.add_communication({.sizes = {4_KB}});
  EXPECT_TRUE(session.graphs.empty());
  profiling.round({});
  const Profile profile = profiling.profile({});
  EXPECT_TRUE(profile.copies.empty());
  EXPECT_EQ(profile.barrier, Sample());
}

// Whoever waits for the other device starts kHandover + kDispatch = 3 us after its end. Of that the
// hand-over is all but the dispatch; in the barrier nothing follows directly, so the whole gap counts.
TEST(Profiling, MeasuresCommunicationOfTwoDevices) {
  FakeSession session({5us, 10us});
  Profiling profiling(session, {.least_steps = 3, .most_steps = 3});
  profiling.add_communication({.sizes = {6000_B}});
  ASSERT_EQ(session.graphs.size(), 4U);
  profiling.round({});
  Profile::Device device;
  device.name = "paper";
  const Profile profile = profiling.profile(device);
  EXPECT_EQ(profile.device.name, "paper");
  EXPECT_EQ(profile.dispatch.mean, 1us);
  EXPECT_EQ(profile.handover.mean, 2us);
  EXPECT_EQ(profile.barrier.mean, 3us);
  EXPECT_GT(profile.barrier.samples, 0);
  EXPECT_EQ(profile.collectives.size(), 3U);
  std::map<std::pair<DeviceId, DeviceId>, Duration> copies;
  for (const ProfiledCopy& copy : profile.copies) {
    if (copy.bytes == 6000_B) copies[{copy.source, copy.destination}] = copy.time.mean;
  }
  const std::map<std::pair<DeviceId, DeviceId>, Duration> expected{
      {{DeviceId{0}, DeviceId{1}}, 10us}, {{DeviceId{1}, DeviceId{0}}, 5us}};
  EXPECT_EQ(copies, expected);
}

// The thread that hands out work is ahead of devices only behind the head start: what a sequence's gaps
// are is not known. The dependent tasks' gap of 1 us is, and so is the hand-over of 3 - 1 = 2 us. Copies
// run one pair at a time.
TEST(Profiling, MeasuresGapsBehindAHeadStartWhereOneThreadIssues) {
  constexpr Duration kGap = 1us, kElsewhere = 3us;
  PaperSession session(2, [&](const TaskGraph& graph) {
    MeasuredStep step = run_streams(graph, [](std::size_t) { return Duration(5us); });
    Duration shift{};
    std::vector<Duration>& start = step.timeline.start;
    std::set<DeviceId> begun;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      const auto before = graph.after[t];
      const bool waits = !before.empty() && graph.device[index(before[0])] != graph.device[t];
      if (!begun.insert(graph.device[t]).second || waits) shift += waits ? kElsewhere : kGap;
      start[t] += shift, step.timeline.finish[t] += shift;
    }
    return step;
  });
  session.ahead = true;
  session.chosen = "algorithm 7";
  Profiling profiling(session, {.least_steps = 3, .most_steps = 3, .head_start = 1_MB});
  profiling.add_sequence(single_task());
  profiling.add_communication({.sizes = {8_KB}});
  for (const TaskGraph& graph : session.graphs) {
    std::set<std::pair<DeviceId, DeviceId>> pairs;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      const bool of_collective = graph.collective[t] >= 0;
      if (graph.kind[t] == TaskKind::transfer && !of_collective) {
        pairs.emplace(graph.source[t], graph.device[t]);
      }
    }
    EXPECT_LE(pairs.size(), 1U);
  }
  profiling.round({});
  const Profile profile = profiling.profile({});
  EXPECT_EQ(profile.dispatch.mean, kGap);
  EXPECT_EQ(profile.handover.mean, kElsewhere - kGap);
  ASSERT_FALSE(profile.copies.empty());
  EXPECT_EQ(profile.copies[0].path, "peer");
  for (const ProfiledOp& op : profile.ops) EXPECT_EQ(op.choice, "algorithm 7");
  profiling.unload();
  EXPECT_EQ(session.unloaded.size(), session.graphs.size());
}

TEST(Profiling, FitsWhatItMeasured) {
  FakeSession session({10us});
  Profiling profiling(session, {});
  profiling.add_sequence(single_task());
  profiling.round({});
  const std::vector<LineFit> fits = profiling.profile({}).fits;
  ASSERT_EQ(fits.size(), 2U);
  EXPECT_EQ(fits[0].what, "bytes fp32");
  EXPECT_EQ(fits[1].what, "relu.forward fp32");
  EXPECT_NEAR(fits[1].per_s, 64 / 10e-6, 1);  // 64 bytes in 10 us
}

}  // namespace
}  // namespace foreplan
