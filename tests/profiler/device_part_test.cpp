#include "profiler/device_part.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/profiler/graphs.hpp"

namespace foreplan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Device 0: a. Device 1: b behind a, c behind b in another stream, and a transfer from device 0.
struct Whole {
  Whole() {
    TaskGraphBuilder builder(2);
    buffer = builder.add_buffer({.device = DeviceId{1}, .bytes = 64_B});
    here = builder.add_buffer({.device = DeviceId{0}, .bytes = 8_B, .persistent = true});
    there = builder.add_buffer({.device = DeviceId{1}, .bytes = 8_B, .persistent = true});
    const TaskId a = add_work(builder, 0, "a");
    const TaskId b = builder.add({.device = DeviceId{1},
                                  .op = builder.add_op(plain_op("b")),
                                  .after = {a},
                                  .writes = {{buffer, {}, 64_B}},
                                  .allocates = {buffer}});
    builder.add({.kind = TaskKind::transfer,
                 .device = DeviceId{1},
                 .stream = kCopyInStream,
                 .source = DeviceId{0},
                 .bytes = 8_B,
                 .reads = {{here, {}, 8_B}},
                 .writes = {{there, {}, 8_B}}});
    builder.add({.device = DeviceId{1},
                 .stream = kCollectiveStream,
                 .op = builder.add_op(plain_op("c")),
                 .after = {a, b},
                 .reads = {{buffer, {}, 32_B}},
                 .frees = {buffer}});
    builder.add_placement({.role = Placement::Role::parameter, .range = {there, {}, 8_B}});
    builder.set_global_batch(5);
    graph = std::move(builder).build();
  }
  BufferId buffer{}, here{}, there{};
  TaskGraph graph;
};

TEST(DevicePart, KeepsOneDevicesTasksBuffersAndPlacements) {
  const Whole whole;
  const TaskGraph part = device_part(whole.graph, DeviceId{1});
  EXPECT_EQ(part.devices, 1);
  EXPECT_EQ(part.global_batch, 5);
  ASSERT_EQ(part.size(), 2U);
  EXPECT_EQ(part.ops[index(part.op[0])].key.op, "b");
  EXPECT_EQ(part.ops[index(part.op[1])].key.op, "c");
  EXPECT_EQ(part.stream[1], kCollectiveStream);
  EXPECT_THAT(part.after[0], IsEmpty());
  EXPECT_THAT(part.after[1], ElementsAre(TaskId{0}));
  ASSERT_THAT(part.buffers, SizeIs(2));
  EXPECT_EQ(part.buffers[index(part.reads[1][0].buffer)].bytes, 64_B);
  EXPECT_THAT(part.allocates[0], SizeIs(1));
  EXPECT_THAT(part.frees[1], SizeIs(1));
  EXPECT_THAT(part.placements, SizeIs(1));
}

TEST(DevicePart, IsTheWholeWhereThereIsOneDevice) {
  TaskGraphBuilder builder(1);
  const TaskId first = add_work(builder, 0, "a");
  add_work(builder, 0, "b", {first});
  const TaskGraph graph = std::move(builder).build();
  const TaskGraph part = device_part(graph, DeviceId{0});
  EXPECT_EQ(part.size(), graph.size());
  EXPECT_EQ(part.after.items, graph.after.items);
}

}  // namespace
}  // namespace foreplan
