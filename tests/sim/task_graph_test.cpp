#include "sim/task_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

/// A builder whose tasks all do the same op.
struct Draft {
  explicit Draft(int devices = 1) : builder(devices), op(builder.add_op({.key = {.op = "relu"}})) {}

  TaskId add(std::string name, std::vector<TaskId> after = {}, int device = 0,
             StreamId stream = kComputeStream) {
    return builder.add({.device = DeviceId{device},
                        .stream = stream,
                        .op = op,
                        .after = std::move(after),
                        .name = std::move(name)});
  }
  TaskGraph build() { return std::move(builder).build(); }

  TaskGraphBuilder builder;
  OpId op;
};

void expect_rejected(const std::function<void(Draft&)>& draw, const std::string& message) {
  Draft draft(2);
  draw(draft);
  EXPECT_THAT([&] { draft.build(); }, ThrowsMessage<Error>(message));
}

TEST(TaskGraphBuilder, LaysTasksOutFlat) {
  TaskGraphBuilder builder(2);
  builder.set_global_batch(64);
  const OpId op = builder.add_op({.key = {.op = "linear", .shape = {8, 4, 2}}});
  const std::int32_t layer = builder.add_node_name("fc1");
  const BufferId x = builder.add_buffer({.device = DeviceId{0}, .bytes = 100_B});
  const BufferId y = builder.add_buffer({.device = DeviceId{1}, .bytes = 100_B});
  const TaskId a = builder.add({.op = op, .node = layer, .micro_batch = 2, .allocates = {x}});
  const TaskId b = builder.add({.kind = TaskKind::transfer,
                                .device = DeviceId{1},
                                .stream = kCopyInStream,
                                .source = DeviceId{0},
                                .bytes = 60_B,
                                .after = {a},
                                .reads = {{x, 40_B, 60_B}},
                                .writes = {{y, 0_B, 60_B}},
                                .allocates = {y},
                                .frees = {x}});
  builder.add_free(b, y);
  const TaskGraph graph = std::move(builder).build();

  EXPECT_EQ(graph.devices, 2);
  EXPECT_EQ(graph.global_batch, 64);
  ASSERT_EQ(graph.size(), 2U);
  EXPECT_THAT(graph.kind, ElementsAre(TaskKind::compute, TaskKind::transfer));
  EXPECT_THAT(graph.device, ElementsAre(DeviceId{0}, DeviceId{1}));
  EXPECT_THAT(graph.source, ElementsAre(DeviceId{0}, DeviceId{0}));
  EXPECT_THAT(graph.stream, ElementsAre(kComputeStream, kCopyInStream));
  EXPECT_THAT(graph.op, ElementsAre(op, OpId{-1}));
  EXPECT_THAT(graph.bytes, ElementsAre(0_B, 60_B));
  EXPECT_THAT(graph.node, ElementsAre(layer, -1));
  EXPECT_THAT(graph.micro_batch, ElementsAre(2, -1));
  EXPECT_THAT(graph.after[0], ElementsAre());
  EXPECT_THAT(graph.after[1], ElementsAre(a));
  EXPECT_THAT(graph.allocates[1], ElementsAre(y));
  EXPECT_THAT(graph.frees[1], ElementsAre(x, y));
  ASSERT_EQ(graph.reads[1].size(), 1U);
  EXPECT_EQ(graph.reads[1][0].offset, 40_B);
  EXPECT_THAT(graph.order, ElementsAre(a, b));
  EXPECT_THAT(graph.task_names, ElementsAre());
}

TEST(TaskGraphBuilder, InternsOpsByAllThatTheyAre) {
  TaskGraphBuilder builder(1);
  const Op op{.key = {.op = "relu", .shape = {8}}, .flops = {8}, .traffic = 64_B};
  const OpId first = builder.add_op(op);
  EXPECT_EQ(builder.add_op(op), first);
  std::vector<Op> others(5, op);
  others[0].key.shape = {9};
  others[1].key.accumulate = true;
  others[2].flops = {9};
  others[3].traffic = 65_B;
  others[4].given = Duration(0);
  for (std::size_t i = 0; i < others.size(); ++i) {
    EXPECT_EQ(index(builder.add_op(others[i])), i + 1);
    EXPECT_EQ(index(builder.add_op(others[i])), i + 1);
  }
}

TEST(TaskGraphBuilder, KnowsStreamsByName) {
  TaskGraphBuilder builder(1);
  EXPECT_EQ(builder.stream_named("compute"), kComputeStream);
  EXPECT_EQ(builder.stream_named("copy_in"), kCopyInStream);
  EXPECT_EQ(builder.stream_named("copy_out"), kCopyOutStream);
  EXPECT_EQ(builder.stream_named("collective"), kCollectiveStream);
  const StreamId own = builder.stream_named("mine");
  EXPECT_EQ(own, StreamId{4});
  EXPECT_EQ(builder.stream_named("mine"), own);
}

// Without dependencies the ids decide. c (2) must precede a (0), so b (1) is the smallest that can
// begin, then c, then a.
TEST(TopologicalOrder, TakesTheSmallestIdThatCanBeNext) {
  Draft draft;
  const TaskId a = draft.add("a", {}, 0, kNoStream);
  const TaskId b = draft.add("b", {}, 0, kNoStream);
  const TaskId c = draft.add("c", {}, 0, kNoStream);
  draft.builder.add_after(a, c);
  EXPECT_THAT(draft.build().order, ElementsAre(b, c, a));
}

// Streams: device 0 has a, c; device 1 has b, d. a waits for d, so d and before it b come first; c
// waits for a by its stream alone.
TEST(TopologicalOrder, CountsTheOrderOfStreams) {
  Draft draft(2);
  const TaskId a = draft.add("a", {}, 0);
  const TaskId b = draft.add("b", {}, 1);
  const TaskId c = draft.add("c", {}, 0);
  const TaskId d = draft.add("d", {}, 1);
  draft.builder.add_after(a, d);
  EXPECT_THAT(draft.build().order, ElementsAre(b, d, a, c));
}

TEST(TaskGraphBuilder, NamesTheTasksOfACycle) {
  expect_rejected(
      [](Draft& draft) {
        const TaskId a = draft.add("a", {}, 0, kNoStream);
        const TaskId b = draft.add("b", {a}, 1, kNoStream);
        draft.add("after the cycle", {b}, 0, kNoStream);
        draft.builder.add_after(a, b);
      },
      "tasks a -> b -> a form a cycle");
  expect_rejected([](Draft& draft) { draft.add("a", {TaskId{0}}); }, "tasks a -> a form a cycle");
}

// Of 20 tasks the first 6 and the last 6 are told, 8 are not.
TEST(TaskGraphBuilder, ShortensALongCycle) {
  expect_rejected(
      [](Draft& draft) {
        for (int i = 0; i < 20; ++i) draft.add(std::to_string(i), {TaskId{(i + 19) % 20}});
      },
      "tasks 0 -> 1 -> 2 -> 3 -> 4 -> 5 -> (8 more) -> 14 -> 15 -> 16 -> 17 -> 18 -> 19 -> 0 form "
      "a cycle");
}

TEST(TaskGraphBuilder, NamesTasksWhoseStreamContradictsTheirDependency) {
  expect_rejected(
      [](Draft& draft) {
        const TaskId b = draft.add("b");
        draft.add("between");
        const TaskId a = draft.add("a");
        draft.builder.add_after(b, a);
      },
      "task 'b' comes before 'a' in stream compute of device 0 but depends on it");
  // The same by way of another device.
  expect_rejected(
      [](Draft& draft) {
        const TaskId b = draft.add("b", {}, 1, kCopyInStream);
        const TaskId a = draft.add("a", {}, 1, kCopyInStream);
        draft.builder.add_after(b, draft.add("way", {a}));
      },
      "task 'b' comes before 'a' in stream copy_in of device 1 but depends on it");
}

// a and b stand in one stream, c and d in another; a waits for d and c for b: each stream alone
// agrees with the dependencies, together they can never run.
TEST(TaskGraphBuilder, NamesTheTasksOfStreamsThatWaitForEachOther) {
  expect_rejected(
      [](Draft& draft) {
        const TaskId a = draft.add("a");
        const TaskId b = draft.add("b");
        draft.add("c", {b}, 1);
        draft.builder.add_after(a, draft.add("d", {}, 1));
      },
      "tasks a -> b -> c -> d -> a form a cycle of dependencies and the order of streams");
}

TEST(TaskGraphBuilder, RejectsPlacesThatDoNotExist) {
  EXPECT_THAT([] { TaskGraphBuilder(0); },
              ThrowsMessage<Error>("a task graph needs at least 1 device, got 0"));
  expect_rejected([](Draft& draft) { draft.add("a", {}, 2); },
                  "task 'a': expected a device from 0 to 1, got 2");
  expect_rejected([](Draft& draft) { draft.add("", {TaskId{5}}); },
                  "task 0: comes after task 5, but there are 1 tasks");
  expect_rejected([](Draft& draft) { draft.add("a", {}, 0, StreamId{9}); },
                  "task 'a': there is no stream 9");
  expect_rejected([](Draft& draft) { draft.builder.add({.name = "a"}); }, "task 'a': has no op");
  expect_rejected([](Draft& draft) { draft.builder.add({.op = draft.op, .node = 0}); },
                  "task 0: there is no node 0");
  expect_rejected([](Draft& draft) { draft.builder.add({.op = draft.op, .collective = 3}); },
                  "task 0: there is no collective 3");
}

TEST(TaskGraphBuilder, RejectsTransfersWithoutSourceOrWithNegativeSize) {
  expect_rejected([](Draft& draft) { draft.builder.add({.kind = TaskKind::transfer}); },
                  "task 0: a transfer needs a source");
  expect_rejected(
      [](Draft& draft) { draft.builder.add({.kind = TaskKind::transfer, .source = DeviceId{7}}); },
      "task 0: expected a source from 0 to 1, got 7");
  expect_rejected(
      [](Draft& draft) {
        draft.builder.add({.kind = TaskKind::transfer, .source = DeviceId{1}, .bytes = Bytes{-4}});
      },
      "task 0: expected bytes >= 0, got -4");
}

TEST(TaskGraphBuilder, AllowsACopyWithinADevice) {
  TaskGraphBuilder builder(1);
  builder.add({.kind = TaskKind::transfer, .source = DeviceId{0}, .bytes = 4_B});
  EXPECT_EQ(std::move(builder).build().source[0], DeviceId{0});
}

TEST(TaskGraphBuilder, RejectsBuffersThatAreNotAllocatedOnceAndFreedOnce) {
  const auto life = [](std::vector<int> allocates, std::vector<int> frees) {
    return [=](Draft& draft) {
      const BufferId x = draft.builder.add_buffer({.bytes = 4_B, .name = "x"});
      const std::size_t n = std::max(allocates.size(), frees.size());
      for (std::size_t t = 0; t < n; ++t) {
        TaskSpec spec{.op = draft.op};
        if (t < allocates.size() && allocates[t] != 0) spec.allocates = {x};
        if (t < frees.size() && frees[t] != 0) spec.frees = {x};
        draft.builder.add(spec);
      }
    };
  };
  expect_rejected(life({1, 1}, {}), "task 1: allocates buffer 'x' a second time");
  expect_rejected(life({0, 1}, {1}), "task 0: frees buffer 'x' before it is allocated");
  expect_rejected(life({1}, {0, 1, 1}), "task 2: frees buffer 'x' a second time");
  expect_rejected(life({1}, {}), "buffer 'x' is never freed");
  expect_rejected(life({}, {}), "buffer 'x' is never allocated");
}

TEST(TaskGraphBuilder, RejectsAllocatingOrFreeingWhatIsPersistent) {
  expect_rejected(
      [](Draft& draft) {
        const BufferId x = draft.builder.add_buffer({.bytes = 4_B, .persistent = true});
        draft.builder.add({.op = draft.op, .allocates = {x}});
      },
      "task 0: allocates buffer 0, which is persistent");
  expect_rejected(
      [](Draft& draft) {
        const BufferId x = draft.builder.add_buffer({.bytes = 4_B, .persistent = true});
        draft.builder.add({.op = draft.op, .frees = {x}});
      },
      "task 0: frees buffer 0, which is persistent");
}

TEST(TaskGraphBuilder, RejectsBuffersAndRangesOutOfPlace) {
  expect_rejected(
      [](Draft& draft) { draft.builder.add({.op = draft.op, .allocates = {BufferId{0}}}); },
      "task 0: there is no buffer 0");
  expect_rejected(
      [](Draft& draft) {
        const BufferId x = draft.builder.add_buffer({.bytes = 8_B, .persistent = true});
        draft.builder.add({.op = draft.op, .reads = {{x, 4_B, 5_B}}});
      },
      "task 0: 5 bytes at 4 do not lie in buffer 0 of 8 bytes");
  expect_rejected([](Draft& draft) { draft.builder.add_buffer({.device = DeviceId{2}}); },
                  "buffer 0: expected a device from 0 to 1, got 2");
  expect_rejected([](Draft& draft) { draft.builder.add_buffer({.bytes = Bytes{-1}}); },
                  "buffer 0: expected bytes >= 0, got -1");
}

TEST(TaskName, IsMadeFromLayerOpPassAndMicroBatch) {
  TaskGraphBuilder builder(3);
  const OpId op = builder.add_op({.key = {.op = "linear", .pass = Pass::backward_input}});
  const OpId add = builder.add_op({.key = {.op = "accumulate"}});
  const std::int32_t fc1 = builder.add_node_name("fc1");
  const std::int32_t ring = builder.add_collective(
      {.kind = CollectiveKind::all_reduce, .group = {}, .bytes = {}, .name = "bucket 0"});
  builder.add({.op = op, .node = fc1, .micro_batch = 2});
  builder.add({.op = op});
  TaskSpec copy{.kind = TaskKind::transfer, .device = DeviceId{2}, .source = DeviceId{1}};
  builder.add(copy);
  copy.collective = ring;
  builder.add(copy);
  copy.node = fc1;
  builder.add(copy);
  builder.add({.op = add, .node = fc1, .collective = ring});
  const TaskGraph graph = std::move(builder).build();
  EXPECT_EQ(task_name(graph, TaskId{0}), "fc1 linear.backward_input mb2");
  EXPECT_EQ(task_name(graph, TaskId{1}), "linear.backward_input");
  EXPECT_EQ(task_name(graph, TaskId{2}), "transfer 1->2");
  EXPECT_EQ(task_name(graph, TaskId{3}), "bucket 0 1->2");
  EXPECT_EQ(task_name(graph, TaskId{4}), "fc1 all_reduce 1->2");
  EXPECT_EQ(task_name(graph, TaskId{5}), "fc1 all_reduce accumulate");
}

TEST(TaskName, IsTheIdOfTheFileWhereThereIsOne) {
  Draft draft;
  draft.add("mine");
  draft.add("");
  const TaskGraph graph = draft.build();
  EXPECT_EQ(task_name(graph, TaskId{0}), "mine");
  EXPECT_EQ(task_name(graph, TaskId{1}), "relu.forward");
}

TEST(Names, OfCategoriesAndCollectives) {
  EXPECT_EQ(name(BufferCategory::parameter), "parameter");
  EXPECT_EQ(name(BufferCategory::optimizer_state), "optimizer_state");
  EXPECT_EQ(name(BufferCategory::input), "input");
  EXPECT_EQ(name(CollectiveKind::all_reduce), "all_reduce");
  EXPECT_EQ(name(CollectiveKind::all_to_all), "all_to_all");
}

}  // namespace
}  // namespace foreplan
