#include "profiler/samples.hpp"

#include <gtest/gtest.h>

#include "tests/profiler/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

struct Interval {
  Duration start, finish;
};

MeasuredStep measured(const std::vector<Interval>& tasks, std::vector<bool> disturbed = {}) {
  MeasuredStep step{.timeline = {}, .disturbed = std::move(disturbed)};
  for (const Interval& task : tasks) {
    step.timeline.start.push_back(task.start);
    step.timeline.finish.push_back(task.finish);
  }
  return step;
}

// Of four values a quarter is quiet: 10 us alone counts.
TEST(SampleList, SetsDisturbedValuesAside) {
  SampleList list;
  list.add(10us, false);
  for (const Duration value : {40us, 50us, 60us}) list.add(value, true);
  EXPECT_EQ(list.summary(), (Sample{.mean = 10us, .median = 10us, .samples = 4, .disturbed = 3}));
}

// One quiet value of five is less than a quarter: all count. Mean 200 / 5, median 40, distances from
// it 30, 10, 0, 10 and 30 us: median 10.
TEST(SampleList, CountsAllWhereFewAreQuiet) {
  SampleList list;
  list.add(10us, false);
  for (const Duration value : {30us, 40us, 50us, 70us}) list.add(value, true);
  EXPECT_EQ(list.summary().mean, 40us);
  EXPECT_EQ(list.summary().median, 40us);
  EXPECT_EQ(list.summary().mad, 10us);
  EXPECT_EQ(list.summary().samples, 5);
  EXPECT_EQ(list.summary().disturbed, 4);
}

TEST(SampleList, IsAllZerosWithoutValues) { EXPECT_EQ(SampleList().summary(), Sample()); }

// 10, 20 and, in a second step, 12 and 14 us: mean 14, median (12 + 14) / 2 = 13.
TEST(SampleBook, SummarisesEachOpOverAllItsTasksAndSteps) {
  TaskGraphBuilder builder(1);
  add_work(builder, 0, "relu");
  add_work(builder, 0, "relu");
  add_work(builder, 0, "gelu");
  const TaskGraph graph = std::move(builder).build();
  SampleBook book;
  book.add(graph, measured({{0us, 10us}, {10us, 30us}, {30us, 31us}}));
  book.add(graph, measured({{0us, 12us}, {12us, 26us}, {26us, 29us}}));
  const Profile profile = book.summary();
  ASSERT_EQ(profile.ops.size(), 2U);
  EXPECT_EQ(profile.ops[0].key.op, "gelu");
  EXPECT_EQ(profile.ops[0].time.mean, 2us);
  EXPECT_EQ(profile.ops[0].time.samples, 2);
  EXPECT_EQ(profile.ops[1].key.op, "relu");
  EXPECT_EQ(profile.ops[1].time.mean, 14us);
  EXPECT_EQ(profile.ops[1].time.median, 13us);
  EXPECT_EQ(profile.ops[1].time.samples, 4);
  EXPECT_EQ(profile.ops[1].flops, Flops{8});
  EXPECT_EQ(profile.ops[1].traffic, 64_B);
}

TEST(SampleBook, FilesCopiesUnderTheirRouteAndSize) {
  TaskGraphBuilder builder(2);
  add_transfer(builder, {0, 1}, 4_KB);
  add_transfer(builder, {0, 1}, 4_KB);
  add_transfer(builder, {1, 0}, 4_KB);
  add_transfer(builder, {0, 1}, 8_KB);
  SampleBook book;
  book.add(std::move(builder).build(), measured({{0us, 2us}, {5us, 9us}, {0us, 5us}, {1us, 7us}}));
  const Profile profile = book.summary();
  ASSERT_EQ(profile.copies.size(), 3U);
  EXPECT_EQ(profile.copies[0].source, DeviceId{0});
  EXPECT_EQ(profile.copies[0].destination, DeviceId{1});
  EXPECT_EQ(profile.copies[0].bytes, 4_KB);
  EXPECT_EQ(profile.copies[0].time.mean, 3us);
  EXPECT_EQ(profile.copies[0].time.samples, 2);
  EXPECT_EQ(profile.copies[1].bytes, 8_KB);
  EXPECT_EQ(profile.copies[1].time.mean, 6us);
  EXPECT_EQ(profile.copies[2].source, DeviceId{1});
  EXPECT_EQ(profile.copies[2].time.mean, 5us);
  EXPECT_TRUE(profile.ops.empty());
}

// The gaps behind the first and the second task: 1 and 3 us. The first task of a stream has none.
TEST(SampleBook, TakesTheGapToTheTaskBeforeInAStreamForDispatch) {
  TaskGraphBuilder builder(1);
  const TaskId first = add_work(builder, 0, "relu");
  add_work(builder, 0, "relu", {first});  // a predecessor on its own device changes nothing
  add_work(builder, 0, "relu");
  SampleBook book;
  book.add(std::move(builder).build(), measured({{7us, 10us}, {11us, 20us}, {23us, 24us}}));
  const Profile profile = book.summary();
  EXPECT_EQ(profile.dispatch.samples, 2);
  EXPECT_EQ(profile.dispatch.mean, 2us);
  EXPECT_EQ(profile.handover.samples, 0);
}

TEST(SampleBook, TakesNoDispatchFromTasksWithoutAStream) {
  TaskGraphBuilder builder(2);
  const TaskId copy = add_transfer(builder, {0, 1}, 4_KB);
  add_transfer(builder, {0, 1}, 4_KB, {copy});
  SampleBook book;
  book.add(std::move(builder).build(), measured({{0us, 2us}, {5us, 9us}}));
  EXPECT_EQ(book.summary().dispatch.samples, 0);
}

/// Device 0: a, b. Device 1: c, then d, which waits for b as well.
TaskGraph waiting_graph() {
  TaskGraphBuilder builder(2);
  add_work(builder, 0, "relu");
  const TaskId b = add_work(builder, 0, "relu");
  add_work(builder, 1, "relu");
  add_work(builder, 1, "relu", {b});
  return std::move(builder).build();
}

// Dispatch: b starts 1 us behind a. d's stream is free at 5 us, b ends at 21 us, d starts at 24 us:
// a gap of 3 us, of which 1 us is dispatch.
TEST(SampleBook, TakesTheGapBehindAnotherDeviceLessDispatchForHandover) {
  SampleBook book;
  book.add(waiting_graph(), measured({{0us, 10us}, {11us, 21us}, {0us, 5us}, {24us, 30us}}));
  const Profile profile = book.summary();
  EXPECT_EQ(profile.dispatch.samples, 1);
  EXPECT_EQ(profile.dispatch.mean, 1us);
  EXPECT_EQ(profile.handover.samples, 1);
  EXPECT_EQ(profile.handover.mean, 2us);
  EXPECT_EQ(profile.handover.median, 2us);
}

// A first task of a stream may wait as well: its stream is free from the start of the step.
TEST(SampleBook, TakesHandoverFromTheFirstTaskOfAStream) {
  TaskGraphBuilder builder(2);
  const TaskId first = add_work(builder, 0, "relu");
  add_work(builder, 1, "relu", {first});
  SampleBook book;
  book.add(std::move(builder).build(), measured({{0us, 10us}, {13us, 14us}}));
  EXPECT_EQ(book.summary().handover.samples, 1);
  EXPECT_EQ(book.summary().handover.mean, 3us);  // no dispatch was seen
}

// Of several predecessors on other devices the last counts: 14 us, and d starts at 16 us.
TEST(SampleBook, TakesHandoverFromTheLastThatWasWaitedFor) {
  TaskGraphBuilder builder(3);
  const TaskId first = add_work(builder, 0, "relu");
  const TaskId second = add_work(builder, 1, "relu");
  add_work(builder, 2, "relu", {first, second});
  SampleBook book;
  book.add(std::move(builder).build(), measured({{0us, 14us}, {0us, 9us}, {16us, 17us}}));
  EXPECT_EQ(book.summary().handover.mean, 2us);
}

// b ends at 21 us; d's own stream is busy until 22 us, or until 0.4 us before b's end.
TEST(SampleBook, TakesNothingFromATaskThatItsOwnStreamHeldUp) {
  SampleBook book;
  book.add(waiting_graph(), measured({{0us, 10us}, {11us, 21us}, {0us, 22us}, {24us, 30us}}));
  book.add(waiting_graph(), measured({{0us, 10us}, {11us, 21us}, {0us, 20600ns}, {24us, 30us}}));
  const Profile profile = book.summary();
  EXPECT_EQ(profile.handover.samples, 0);
  EXPECT_EQ(profile.dispatch.samples, 2);  // b, twice
}

// The gap of 1 us is shorter than the dispatch of 4 us.
TEST(SampleBook, NeverHasANegativeHandover) {
  SampleBook book;
  book.add(waiting_graph(), measured({{0us, 10us}, {14us, 21us}, {0us, 5us}, {22us, 30us}}));
  EXPECT_EQ(book.summary().handover.samples, 1);
  EXPECT_EQ(book.summary().handover.mean, 0us);
}

/// Two collectives of devices 0 and 1, a copy on each device, and an add behind the first.
TaskGraph collective_graph() {
  TaskGraphBuilder builder(2);
  for (const auto& [kind, bytes] :
       {std::pair{CollectiveKind::all_reduce, 8_KB}, std::pair{CollectiveKind::all_gather, 2_KB}}) {
    const std::int32_t collective =
        builder.add_collective({.kind = kind, .group = {DeviceId{0}, DeviceId{1}}, .bytes = bytes});
    for (int device = 0; device < 2; ++device) {
      builder.add({.kind = TaskKind::transfer,
                   .device = DeviceId{device},
                   .source = DeviceId{1 - device},
                   .bytes = 1_KB,
                   .collective = collective});
    }
    if (collective > 0) continue;
    builder.add({.op = builder.add_op(plain_op("accumulate")), .collective = collective});
  }
  return std::move(builder).build();
}

// all_reduce: copies 2 to 5 and 1 to 6 us, add 6 to 9 us: 1 to 9, 8 us. all_gather: 10 to 12 and 11
// to 15: 5 us.
TEST(SampleBook, TakesACollectiveFromItsFirstStartToItsLastFinish) {
  SampleBook book;
  book.add(collective_graph(),
           measured({{2us, 5us}, {1us, 6us}, {6us, 9us}, {10us, 12us}, {11us, 15us}}));
  const Profile profile = book.summary();
  ASSERT_EQ(profile.collectives.size(), 2U);
  EXPECT_EQ(profile.collectives[0].kind, CollectiveKind::all_reduce);
  EXPECT_EQ(profile.collectives[0].ranks, 2);
  EXPECT_EQ(profile.collectives[0].bytes, 8_KB);
  EXPECT_EQ(profile.collectives[0].time.mean, 8us);
  EXPECT_EQ(profile.collectives[1].kind, CollectiveKind::all_gather);
  EXPECT_EQ(profile.collectives[1].time.mean, 5us);
  // Its tasks count for themselves too.
  ASSERT_EQ(profile.ops.size(), 1U);
  EXPECT_EQ(profile.ops[0].time.mean, 3us);
  EXPECT_EQ(profile.copies.size(), 2U);
}

// A mark on device 1 disturbs what ran there, and every collective that it took part in.
TEST(SampleBook, CountsWhatWasDisturbed) {
  SampleBook book;
  book.add(
      collective_graph(),
      measured({{2us, 5us}, {1us, 6us}, {6us, 9us}, {10us, 12us}, {11us, 15us}}, {false, true}));
  book.add(
      collective_graph(),
      measured({{2us, 5us}, {1us, 6us}, {6us, 9us}, {10us, 12us}, {11us, 15us}}, {false, false}));
  const Profile profile = book.summary();
  EXPECT_EQ(profile.ops[0].time.disturbed, 0);  // the add ran on device 0
  ASSERT_EQ(profile.copies.size(), 2U);
  EXPECT_EQ(profile.copies[0].destination, DeviceId{1});
  EXPECT_EQ(profile.copies[0].time.disturbed, 2);
  EXPECT_EQ(profile.copies[0].time.samples, 4);
  EXPECT_EQ(profile.copies[1].time.disturbed, 0);
  EXPECT_EQ(profile.collectives[0].time.disturbed, 1);
  EXPECT_EQ(profile.collectives[0].time.samples, 2);
}

TEST(SampleBook, CountsDisturbedGaps) {
  SampleBook book;
  book.add(waiting_graph(),
           measured({{0us, 10us}, {11us, 21us}, {0us, 5us}, {24us, 30us}}, {true, false}));
  book.add(waiting_graph(),
           measured({{0us, 10us}, {11us, 21us}, {0us, 5us}, {24us, 30us}}, {false, true}));
  EXPECT_EQ(book.summary().dispatch.disturbed, 1);
  EXPECT_EQ(book.summary().handover.disturbed, 1);
  EXPECT_EQ(book.summary().handover.samples, 2);
}

TEST(SampleBook, IsEmptyBeforeTheFirstStep) { EXPECT_EQ(SampleBook().summary(), Profile()); }

// Shares of a quarter and three quarters: half in the mean.
TEST(SampleBook, TellsTheMeanShareOfTheMultiprocessorsAndTheChoice) {
  TaskGraphBuilder builder(1);
  add_work(builder, 0, "relu");
  const TaskGraph graph = std::move(builder).build();
  SampleBook book;
  book.note_choice(plain_op("relu").key, "tile 3");
  book.note_choice(plain_op("never run").key, "tile 4");
  for (const double share : {0.25, 0.75}) {
    book.add(graph, {.timeline = {.start = {{}}, .finish = {Duration{5}}},
                     .disturbed = {},
                     .multiprocessors = {share},
                     .launches = {3}});
  }
  const Profile profile = book.summary();
  ASSERT_EQ(profile.ops.size(), 1U);
  EXPECT_DOUBLE_EQ(profile.ops[0].multiprocessors.value(), 0.5);
  EXPECT_EQ(profile.ops[0].choice, "tile 3");
  EXPECT_DOUBLE_EQ(profile.ops[0].launches, 3);
}

}  // namespace
}  // namespace foreplan
