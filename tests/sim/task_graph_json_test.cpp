// What is written of a task graph is read back (sim/task_graph_io.hpp).

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/collective.hpp"
#include "tests/sim/task_graph_files.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

/// A graph as a lowering makes them: no names, a ring with data, persistent buffers, given ops.
TaskGraph lowered() {
  TaskGraphBuilder builder(3);
  builder.set_global_batch(64);
  const std::int32_t layer = builder.add_node_name("fc1");
  CollectiveSpec spec{.group = {DeviceId{0}, DeviceId{1}, DeviceId{2}}, .bytes = 40_B};
  spec.node = layer;
  for (const DeviceId device : spec.group) {
    const BufferId buffer = builder.add_buffer({.device = device,
                                                .bytes = 40_B,
                                                .category = BufferCategory::gradient,
                                                .persistent = true});
    Op op{.key = {.op = "linear", .shape = {2, 3, 4}}, .flops = {48}, .traffic = 60_B};
    const TaskId task = builder.add({.device = device,
                                     .op = builder.add_op(op),
                                     .node = layer,
                                     .micro_batch = 1,
                                     .writes = {{buffer, 0_B, 40_B}}});
    spec.after.push_back({task});
    spec.data.push_back({buffer, 0_B, 40_B});
  }
  expand_collective(builder, spec);
  spec.name = "again";
  expand_collective(builder, spec);
  Op given{.key = {.op = "load", .shape = {1}}, .flops = {}, .traffic = {}, .given = 5us};
  builder.add({.kind = TaskKind::host, .stream = kNoStream, .op = builder.add_op(given)});
  return std::move(builder).build();
}

template <typename T>
std::vector<std::vector<T>> rows(const Rows<T>& rows) {
  std::vector<std::vector<T>> result;
  for (std::size_t i = 0; i < rows.size(); ++i) result.emplace_back(rows[i].begin(), rows[i].end());
  return result;
}

void expect_equal_tasks(const TaskGraph& a, const TaskGraph& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.device, b.device);
  EXPECT_EQ(a.stream, b.stream);
  EXPECT_EQ(a.op, b.op);
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.bytes, b.bytes);
  EXPECT_EQ(a.node, b.node);
  EXPECT_EQ(a.micro_batch, b.micro_batch);
  EXPECT_EQ(a.collective, b.collective);
  EXPECT_EQ(rows(a.after), rows(b.after));
  EXPECT_EQ(rows(a.allocates), rows(b.allocates));
  EXPECT_EQ(rows(a.frees), rows(b.frees));
  EXPECT_EQ(a.order, b.order);
}

TEST(TaskGraphJson, ReadsBackEqual) {
  const TaskGraph graph = lowered();
  const TaskGraph again = read(json::parse(to_json(graph))).graph;
  EXPECT_EQ(again.devices, 3);
  EXPECT_EQ(again.global_batch, 64);
  expect_equal_tasks(again, graph);
  ASSERT_EQ(again.ops.size(), graph.ops.size());
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    EXPECT_EQ(again.ops[i].key, graph.ops[i].key);
    EXPECT_EQ(again.ops[i].flops, graph.ops[i].flops);
    EXPECT_EQ(again.ops[i].traffic, graph.ops[i].traffic);
    EXPECT_EQ(again.ops[i].given, graph.ops[i].given);
  }
  EXPECT_EQ(again.node_names, graph.node_names);
  ASSERT_EQ(again.collectives.size(), 2U);
  EXPECT_EQ(again.collectives[1].name, "again");
  EXPECT_EQ(again.collectives[1].group, graph.collectives[1].group);
}

TEST(TaskGraphJson, KeepsSizesDevicesAndCategoriesOfBuffers) {
  const TaskGraph graph = lowered();
  const TaskGraph again = read(json::parse(to_json(graph))).graph;
  ASSERT_EQ(again.buffers.size(), graph.buffers.size());
  for (std::size_t i = 0; i < graph.buffers.size(); ++i) {
    EXPECT_EQ(again.buffers[i].device, graph.buffers[i].device);
    EXPECT_EQ(again.buffers[i].bytes, graph.buffers[i].bytes);
    EXPECT_EQ(again.buffers[i].category, graph.buffers[i].category);
    EXPECT_EQ(again.buffers[i].persistent, graph.buffers[i].persistent);
  }
}

TEST(TaskGraphJson, IsTheSameTextAfterReadingIt) {
  const std::string text = to_json(lowered());
  EXPECT_EQ(to_json(read(json::parse(text)).graph), text);
  const std::string other = to_json(read(example()).graph);
  EXPECT_EQ(to_json(read(json::parse(other)).graph), other);
}

}  // namespace
}  // namespace foreplan
