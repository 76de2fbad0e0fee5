#include "sim/task_graph_check.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr TaskId kNone{-1};

template <typename Id>
bool within(Id id, std::size_t size) {
  return static_cast<std::int64_t>(id) >= 0 && index(id) < size;
}

template <typename Id>
bool within_or_none(Id id, std::size_t size) {
  return static_cast<std::int64_t>(id) == -1 || within(id, size);
}

/// How messages call a task whose own fields may be what is wrong.
std::string label(const TaskGraph& graph, std::size_t task) {
  if (!graph.task_names.empty() && !graph.task_names[task].empty()) {
    return fmt::format("task '{}'", graph.task_names[task]);
  }
  return fmt::format("task {}", task);
}

[[noreturn]] void fail(const TaskGraph& graph, std::size_t task, const std::string& what) {
  reject(fmt::format("{}: {}", label(graph, task), what));
}

void check_places(const TaskGraph& graph, std::size_t t) {
  const auto devices = static_cast<std::size_t>(graph.devices);
  if (!within(graph.device[t], devices)) {
    fail(graph, t,
         fmt::format("expected a device from 0 to {}, got {}", devices - 1,
                     static_cast<std::int32_t>(graph.device[t])));
  }
  if (!within_or_none(graph.stream[t], graph.stream_names.size())) {
    fail(graph, t, fmt::format("there is no stream {}", static_cast<int>(graph.stream[t])));
  }
  for (const TaskId p : graph.after[t]) {
    if (within(p, graph.size())) continue;
    fail(graph, t,
         fmt::format("comes after task {}, but there are {} tasks", static_cast<std::int32_t>(p),
                     graph.size()));
  }
}

void check_work(const TaskGraph& graph, std::size_t t) {
  if (graph.kind[t] != TaskKind::transfer) {
    if (!within(graph.op[t], graph.ops.size())) fail(graph, t, "has no op");
    return;
  }
  const auto source = static_cast<std::int32_t>(graph.source[t]);
  if (source == -1) fail(graph, t, "a transfer needs a source");
  if (!within(graph.source[t], static_cast<std::size_t>(graph.devices))) {
    fail(graph, t,
         fmt::format("expected a source from 0 to {}, got {}", graph.devices - 1, source));
  }
  if (graph.bytes[t] < Bytes{}) {
    fail(graph, t, fmt::format("expected bytes >= 0, got {}", graph.bytes[t].count));
  }
}

void check_labels(const TaskGraph& graph, std::size_t t) {
  if (!within_or_none(graph.node[t], graph.node_names.size())) {
    fail(graph, t, fmt::format("there is no node {}", graph.node[t]));
  }
  if (!within_or_none(graph.collective[t], graph.collectives.size())) {
    fail(graph, t, fmt::format("there is no collective {}", graph.collective[t]));
  }
}

void check_buffer_ids(const TaskGraph& graph, std::size_t t) {
  const auto check = [&](BufferId id) {
    if (within(id, graph.buffers.size())) return;
    fail(graph, t, fmt::format("there is no buffer {}", static_cast<std::int32_t>(id)));
  };
  for (const BufferId id : graph.allocates[t]) check(id);
  for (const BufferId id : graph.frees[t]) check(id);
  for (const BufferRange& range : graph.reads[t]) check(range.buffer);
  for (const BufferRange& range : graph.writes[t]) check(range.buffer);
}

std::string buffer_label(const TaskGraph& graph, std::size_t buffer) {
  const std::string& name = graph.buffers[buffer].name;
  return name.empty() ? fmt::format("buffer {}", buffer) : fmt::format("buffer '{}'", name);
}

void check_range(const TaskGraph& graph, std::size_t t, const BufferRange& range) {
  const std::int64_t size = graph.buffers[index(range.buffer)].bytes.count;
  const std::int64_t offset = range.offset.count;
  if (offset >= 0 && offset <= size && range.bytes.count >= 0 &&
      range.bytes.count <= size - offset) {
    return;
  }
  fail(graph, t,
       fmt::format("{} bytes at {} do not lie in {} of {} bytes", range.bytes.count, offset,
                   buffer_label(graph, index(range.buffer)), size));
}

void check_buffer(const TaskGraph& graph, std::size_t b) {
  const Buffer& buffer = graph.buffers[b];
  if (!within(buffer.device, static_cast<std::size_t>(graph.devices))) {
    reject(fmt::format("{}: expected a device from 0 to {}, got {}", buffer_label(graph, b),
                       graph.devices - 1, static_cast<std::int32_t>(buffer.device)));
  }
  if (buffer.bytes < Bytes{}) {
    reject(
        fmt::format("{}: expected bytes >= 0, got {}", buffer_label(graph, b), buffer.bytes.count));
  }
}

enum class Life : std::uint8_t { unborn, live, freed };

void allocate(const TaskGraph& graph, std::size_t t, BufferId id, std::vector<Life>& lives) {
  const auto buffer = [&] { return buffer_label(graph, index(id)); };
  if (graph.buffers[index(id)].persistent) {
    fail(graph, t, fmt::format("allocates {}, which is persistent", buffer()));
  }
  if (lives[index(id)] != Life::unborn) {
    fail(graph, t, fmt::format("allocates {} a second time", buffer()));
  }
  lives[index(id)] = Life::live;
}

void release(const TaskGraph& graph, std::size_t t, BufferId id, std::vector<Life>& lives) {
  if (lives[index(id)] == Life::live) {
    lives[index(id)] = Life::freed;
    return;
  }
  const std::string buffer = buffer_label(graph, index(id));
  if (graph.buffers[index(id)].persistent) {
    fail(graph, t, fmt::format("frees {}, which is persistent", buffer));
  }
  fail(graph, t,
       fmt::format("frees {} {}", buffer,
                   lives[index(id)] == Life::freed ? "a second time" : "before it is allocated"));
}

}  // namespace

void check_tasks(const TaskGraph& graph) {
  for (std::size_t t = 0; t < graph.size(); ++t) {
    check_places(graph, t);
    check_work(graph, t);
    check_labels(graph, t);
    check_buffer_ids(graph, t);
  }
}

void check_buffers(const TaskGraph& graph) {
  for (std::size_t b = 0; b < graph.buffers.size(); ++b) check_buffer(graph, b);
  std::vector<Life> lives(graph.buffers.size(), Life::unborn);
  for (const TaskId task : graph.order) {
    const std::size_t t = index(task);
    for (const BufferId id : graph.allocates[t]) allocate(graph, t, id, lives);
    for (const BufferId id : graph.frees[t]) release(graph, t, id, lives);
    for (const BufferRange& range : graph.reads[t]) check_range(graph, t, range);
    for (const BufferRange& range : graph.writes[t]) check_range(graph, t, range);
  }
  for (std::size_t b = 0; b < lives.size(); ++b) {
    if (graph.buffers[b].persistent || lives[b] == Life::freed) continue;
    reject(fmt::format("{} is never {}", buffer_label(graph, b),
                       lives[b] == Life::unborn ? "allocated" : "freed"));
  }
}

}  // namespace foreplan
