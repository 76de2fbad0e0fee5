#include "profiler/calibration.hpp"

#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/planner/happens_before.hpp"
#include "tests/profiler/graphs.hpp"

namespace foreplan {
namespace {

TaskId task_at(std::size_t i) { return TaskId{static_cast<std::int32_t>(i)}; }

bool overlap(const BufferRange& a, const BufferRange& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

bool touches(std::span<const BufferRange> as, std::span<const BufferRange> bs) {
  for (const BufferRange& a : as) {
    for (const BufferRange& b : bs) {
      if (overlap(a, b)) return true;
    }
  }
  return false;
}

bool conflict(const TaskGraph& graph, std::size_t a, std::size_t b) {
  return touches(graph.writes[a], graph.writes[b]) || touches(graph.writes[a], graph.reads[b]) ||
         touches(graph.reads[a], graph.writes[b]);
}

/// Two tasks that touch the same bytes, one of them writing, wait for each other in order of id.
void expect_no_races(const TaskGraph& graph) {
  const HappensBefore before(graph);
  for (std::size_t later = 0; later < graph.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!conflict(graph, earlier, later)) continue;
      EXPECT_TRUE(before(task_at(earlier), task_at(later)))
          << "tasks " << earlier << " and " << later << " race";
    }
  }
}

const std::string& op_name(const TaskGraph& graph, std::size_t task) {
  return graph.ops[index(graph.op[task])].key.op;
}

// Two devices, one size, one round: write 0, write 1, then pull and add on device 0, and on 1.
TEST(CopyGraph, WritesPullsAndAddsOnEachDevice) {
  const TaskGraph graph = copy_graph(2, {.sizes = {64_B}}, 1);
  ASSERT_EQ(graph.size(), 6U);
  for (const std::size_t write : {0U, 1U}) EXPECT_EQ(op_name(graph, write), "copy");
  for (const std::size_t add : {3U, 5U}) EXPECT_EQ(op_name(graph, add), "accumulate");
  for (const std::size_t pull : {2U, 4U}) {
    const DeviceId other{pull == 2 ? 1 : 0};
    EXPECT_EQ(graph.kind[pull], TaskKind::transfer);
    EXPECT_EQ(graph.source[pull], other);
    EXPECT_EQ(graph.bytes[pull], 64_B);
    // It pulls what the other device has just written, and the add behind it takes what came.
    const std::size_t write = index(other);
    ASSERT_EQ(graph.after[pull].size(), 1U);
    EXPECT_EQ(graph.after[pull][0], task_at(write));
    EXPECT_TRUE(touches(graph.reads[pull], graph.writes[write]));
    EXPECT_TRUE(touches(graph.writes[pull], graph.reads[pull + 1]));
  }
  EXPECT_EQ(graph.ops[index(graph.op[0])].key.shape, std::vector<std::int64_t>{16});
}

// Devices x (write, pull, add) x repeats x sizes = 3 x 3 x 4 x 2.
TEST(CopyGraph, RepeatsEverySize) {
  const TaskGraph graph = copy_graph(3, {.sizes = {64_B, 128_B}}, 4);
  EXPECT_EQ(graph.size(), 72U);
  CopySizes seen;
  seen.add(graph);
  EXPECT_EQ(seen.sizes, (std::set<Bytes>{64_B, 128_B}));
}

TEST(CopyGraph, PullsFromTheLeftNeighbourOfARing) {
  const TaskGraph graph = copy_graph(3, {.sizes = {64_B}}, 1);
  int pulls = 0;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.kind[i] != TaskKind::transfer) continue;
    EXPECT_EQ((index(graph.source[i]) + 1) % 3, index(graph.device[i]));
    ++pulls;
  }
  EXPECT_EQ(pulls, 3);
}

TEST(CopyGraph, WaitsForWhoeverReadsABlockBeforeWritingItAgain) {
  expect_no_races(copy_graph(2, {.sizes = {64_B, 256_B}}, 3));
  expect_no_races(copy_graph(3, {.sizes = {64_B, 256_B}}, 3));
}

TEST(CopyGraph, RoundsSizesUpToWholeNumbers) {
  const TaskGraph graph = copy_graph(2, {.sizes = {1_B, 63_B, 65_B}}, 1);
  CopySizes seen;
  seen.add(graph);
  EXPECT_EQ(seen.sizes, (std::set<Bytes>{4_B, 64_B, 68_B}));
  for (const Buffer& buffer : graph.buffers) EXPECT_EQ(buffer.bytes.count % 4, 0);
}

TEST(CopyGraph, NeedsTwoDevices) {
  try {
    copy_graph(1, {.sizes = {64_B}}, 1);
    FAIL() << "took one device";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(error.what(), "calibration: copies need at least two devices");
  }
  EXPECT_THROW(handover_graph(1, 1), Error);
  EXPECT_THROW(barrier_graph(0, 1), Error);
  EXPECT_THROW(collective_graph(-1, {64_B}), Error);
}

// 4 KiB times 1, 4, 16 and 64 are up to 1 MB; 4 KiB times 256 is 1 MiB and above it.
TEST(CopySizes, GridGoesByPowersOfFourUpToTheMost) {
  CopySizes copies{.sizes = {3_B}};
  copies.add_grid(1_MB);
  EXPECT_EQ(copies.sizes, (std::set<Bytes>{3_B, 4_KiB, 16_KiB, 64_KiB, 256_KiB}));
  copies.add_grid(1_MiB);
  EXPECT_TRUE(copies.sizes.contains(1_MiB));
}

TEST(CopySizes, TakesTransfersOfAGraphAndNothingElse) {
  TaskGraphBuilder builder(2);
  add_work(builder, 0, "relu");
  add_transfer(builder, {0, 1}, 5_KB);
  add_transfer(builder, {1, 0}, 5_KB);
  add_transfer(builder, {1, 0}, 7_KB);
  CopySizes copies;
  copies.add(std::move(builder).build());
  EXPECT_EQ(copies.sizes, (std::set<Bytes>{5_KB, 7_KB}));
}

TEST(HandoverGraph, PassesFromDeviceToDeviceInTurn) {
  const TaskGraph graph = handover_graph(3, 4);
  ASSERT_EQ(graph.size(), 12U);
  EXPECT_EQ(graph.after[0].size(), 0U);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    EXPECT_EQ(index(graph.device[i]), i % 3);
    if (i == 0) continue;
    ASSERT_EQ(graph.after[i].size(), 1U);
    EXPECT_EQ(graph.after[i][0], task_at(i - 1));
  }
  expect_no_races(graph);
}

TEST(BarrierGraph, EveryTaskWaitsForAllOfTheRoundBefore) {
  const TaskGraph graph = barrier_graph(3, 4);
  ASSERT_EQ(graph.size(), 12U);
  const HappensBefore before(graph);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    EXPECT_EQ(index(graph.device[i]), i % 3);
    EXPECT_EQ(graph.after[i].size(), i < 3 ? 0U : 3U);
    for (std::size_t j = 0; j < graph.size(); ++j) {
      EXPECT_EQ(before(task_at(j), task_at(i)), j / 3 < i / 3) << j << " before " << i;
    }
  }
  expect_no_races(graph);
}

// An all-reduce among n ranks has 2 n (n - 1) copies and n (n - 1) adds: 12 + 6 for n = 3, twice.
TEST(CollectiveGraph, AllReducesEachSizeOverAllDevices) {
  const TaskGraph graph = collective_graph(3, {1_KB, 4_KB});
  EXPECT_EQ(graph.size(), 36U);
  ASSERT_EQ(graph.collectives.size(), 2U);
  for (const Collective& collective : graph.collectives) {
    EXPECT_EQ(collective.kind, CollectiveKind::all_reduce);
    EXPECT_EQ(collective.group, (std::vector{DeviceId{0}, DeviceId{1}, DeviceId{2}}));
  }
  EXPECT_EQ(graph.collectives[0].bytes, 1_KB);
  EXPECT_EQ(graph.collectives[1].bytes, 4_KB);
  expect_no_races(graph);
}

TEST(CollectiveGraph, RoundsSizesUpToWholeNumbers) {
  const TaskGraph graph = collective_graph(2, {1001_B});
  ASSERT_EQ(graph.collectives.size(), 1U);
  EXPECT_EQ(graph.collectives[0].bytes, 1004_B);
}

// One behind the other on every device: the streams keep the order of the sizes.
TEST(CollectiveGraph, KeepsTheOrderOfItsSizesOnEachDevice) {
  const TaskGraph graph = collective_graph(2, {1_KB, 4_KB});
  for (std::size_t i = 1; i < graph.size(); ++i) {
    EXPECT_GE(graph.collective[i], graph.collective[i - 1]);
    EXPECT_EQ(graph.stream[i], kComputeStream);
  }
}

}  // namespace
}  // namespace foreplan
