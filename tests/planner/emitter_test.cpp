#include "planner/emitter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr DeviceId kFirst{0}, kSecond{1};
constexpr auto kActivation = BufferCategory::activation;

OpKey copy_of(std::int64_t elements) {
  return {.op = "copy", .pass = Pass::forward, .shape = {elements}};
}

std::vector<TaskId> after(const TaskGraph& graph, TaskId task) {
  const auto row = graph.after[index(task)];
  return {row.begin(), row.end()};
}
std::vector<BufferId> allocates(const TaskGraph& graph, TaskId task) {
  const auto row = graph.allocates[index(task)];
  return {row.begin(), row.end()};
}
std::vector<BufferId> frees(const TaskGraph& graph, TaskId task) {
  const auto row = graph.frees[index(task)];
  return {row.begin(), row.end()};
}

TEST(Emitter, AllocatesWithTheFirstWriterAndFreesWithTheLastReader) {
  Emitter emitter(1, true);
  const Value input = emitter.persistent(kFirst, 40_B, BufferCategory::input);
  Value x = emitter.temporary(kFirst, 40_B, kActivation);
  Value y = emitter.temporary(kFirst, 40_B, kActivation);
  const EmitContext here{.device = kFirst};
  const TaskId writes = emitter.compute(here, copy_of(10), {input}, {&x});
  const TaskId again = emitter.compute(here, copy_of(10), {input}, {&x});
  const TaskId reads = emitter.compute(here, copy_of(10), {x}, {&y});
  const TaskId graph_end = emitter.compute(here, copy_of(10), {y}, {&y});
  const BufferId of_x = x.range.buffer, of_y = y.range.buffer;
  const TaskGraph graph = std::move(emitter).finish();
  EXPECT_THAT(allocates(graph, writes), ElementsAre(of_x));
  EXPECT_THAT(allocates(graph, again), IsEmpty());
  EXPECT_THAT(frees(graph, writes), IsEmpty());
  EXPECT_THAT(frees(graph, again), IsEmpty());
  EXPECT_THAT(frees(graph, reads), ElementsAre(of_x));
  EXPECT_THAT(frees(graph, graph_end), ElementsAre(of_y));
}

// x is read by a copy to the other device and by a task of its own: whichever is written down last
// frees it, and waits for the other.
TEST(Emitter, LetsTheLastReaderWaitForReadersInOtherStreams) {
  Emitter emitter(2, true);
  const Value input = emitter.persistent(kFirst, 40_B, BufferCategory::input);
  Value x = emitter.temporary(kFirst, 40_B, kActivation);
  Value y = emitter.temporary(kFirst, 40_B, kActivation);
  Value z = emitter.temporary(kSecond, 40_B, kActivation);
  const TaskId writes = emitter.compute({.device = kFirst}, copy_of(10), {input}, {&x});
  const Value pulled = emitter.pull({.device = kSecond}, x);
  const TaskId reads = emitter.compute({.device = kFirst}, copy_of(10), {x}, {&y});
  emitter.compute({.device = kSecond}, copy_of(10), {pulled}, {&z});
  const BufferId of_x = x.range.buffer;
  const TaskId pull = pulled.ready.front();
  const TaskGraph graph = std::move(emitter).finish();
  EXPECT_THAT(after(graph, pull), ElementsAre(writes));
  EXPECT_THAT(frees(graph, pull), IsEmpty());
  const std::vector<BufferId> freed = frees(graph, reads);
  EXPECT_NE(std::find(freed.begin(), freed.end(), of_x), freed.end());
  EXPECT_THAT(after(graph, reads), ElementsAre(pull));
}

TEST(Emitter, WaitsOnlyForTasksOfOtherStreams) {
  Emitter emitter(2, true);
  const Value input = emitter.persistent(kFirst, 40_B, BufferCategory::input);
  Value x = emitter.temporary(kFirst, 40_B, kActivation);
  Value y = emitter.temporary(kFirst, 40_B, kActivation);
  Value z = emitter.temporary(kSecond, 40_B, kActivation);
  emitter.compute({.device = kFirst}, copy_of(10), {input}, {&x});
  const TaskId same_stream = emitter.compute({.device = kFirst}, copy_of(10), {x}, {&y});
  const Value pulled = emitter.pull({.device = kSecond}, y);
  const TaskId elsewhere = emitter.compute({.device = kSecond}, copy_of(10), {pulled}, {&z});
  const TaskGraph graph = std::move(emitter).finish();
  EXPECT_THAT(after(graph, same_stream), IsEmpty());
  EXPECT_THAT(after(graph, elsewhere), ElementsAre(pulled.ready.front()));
}

TEST(Emitter, PutsEverythingIntoOneStreamWhereDevicesHaveNoOthers) {
  for (const bool concurrent : {true, false}) {
    Emitter emitter(2, concurrent);
    const Value input = emitter.persistent(kFirst, 40_B, BufferCategory::input);
    const Value pulled = emitter.pull({.device = kSecond}, input);
    const TaskGraph graph = std::move(emitter).finish();
    EXPECT_EQ(graph.stream[index(pulled.ready.front())],
              concurrent ? kCopyInStream : kComputeStream);
    EXPECT_EQ(graph.source[index(pulled.ready.front())], kFirst);
    EXPECT_EQ(graph.device[index(pulled.ready.front())], kSecond);
    EXPECT_EQ(graph.bytes[index(pulled.ready.front())], 40_B);
  }
}

// Whoever overwrites what a ring has worked on waits until no other rank reads it any more.
TEST(Emitter, TellsWhenARingHasReleasedItsData) {
  Emitter emitter(2, true);
  Value a = emitter.persistent(kFirst, 40_B, BufferCategory::gradient);
  Value b = emitter.persistent(kSecond, 40_B, BufferCategory::gradient);
  const auto released =
      emitter.collective(CollectiveKind::all_reduce, kCollectiveStream, {&a, &b}, {}, "sum");
  ASSERT_EQ(released.size(), 2U);
  ASSERT_EQ(released[0].size(), 1U);
  const TaskGraph graph = std::move(emitter).finish();
  // The last to read rank 0 is a copy to rank 1.
  EXPECT_EQ(graph.device[index(released[0].front())], kSecond);
  EXPECT_EQ(graph.source[index(released[0].front())], kFirst);
  ASSERT_EQ(graph.collectives.size(), 1U);
  EXPECT_EQ(graph.collectives[0].name, "sum");
  EXPECT_EQ(graph.device[index(a.ready.front())], kFirst);
}

}  // namespace
}  // namespace foreplan
