#include "sim/task_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "sim/error.hpp"
#include "sim/stream_order.hpp"
#include "sim/task_graph_check.hpp"

namespace foreplan {
namespace {

constexpr std::array<std::string_view, kBufferCategories> kCategoryNames = {
    "parameter", "gradient", "optimizer_state", "activation", "communication",
    "workspace", "input"};
constexpr std::array<std::string_view, kCollectiveKinds> kCollectiveNames = {
    "all_reduce", "reduce_scatter", "all_gather", "all_to_all",
    "broadcast",  "reduce",         "gather",     "scatter"};

template <typename T>
void mix(std::size_t& hash, const T& value) {
  hash = hash * 0x9E3779B97F4A7C15ULL + std::hash<T>{}(value);
}

std::size_t hash_of(const Op& op) {
  std::size_t hash = std::hash<std::string>{}(op.key.op);
  mix(hash, static_cast<int>(op.key.pass));
  mix(hash, static_cast<int>(op.key.dtype));
  for (const std::int64_t extent : op.key.shape) mix(hash, extent);
  mix(hash, op.given ? op.given->count() : -1);
  return hash;
}

bool same(const Op& a, const Op& b) {
  return a.key == b.key && a.flops == b.flops && a.traffic == b.traffic && a.given == b.given;
}

/// What a task does, without layer and micro-batch.
std::string action(const TaskGraph& graph, std::size_t task) {
  const bool ring = graph.collective[task] >= 0;
  std::string text;
  if (ring) {
    const Collective& of = graph.collectives[static_cast<std::size_t>(graph.collective[task])];
    text = of.name.empty() || graph.node[task] >= 0 ? std::string(name(of.kind)) : of.name;
    text += ' ';
  }
  if (graph.kind[task] == TaskKind::transfer) {
    return text + fmt::format("{}{}->{}", ring ? "" : "transfer ", index(graph.source[task]),
                              index(graph.device[task]));
  }
  const OpKey& key = graph.ops[index(graph.op[task])].key;
  return text + (ring ? key.op : fmt::format("{}.{}", key.op, name(key.pass)));
}

template <typename T>
void append_row(Rows<T>& rows, std::span<const T> row) {
  for (const T& item : row) rows.items.push_back(item);
  rows.close_row();
}

}  // namespace

std::string_view name(BufferCategory category) {
  return kCategoryNames[static_cast<std::size_t>(category)];
}

std::string_view name(CollectiveKind kind) {
  return kCollectiveNames[static_cast<std::size_t>(kind)];
}

std::string task_name(const TaskGraph& graph, TaskId task) {
  const std::size_t t = index(task);
  if (!graph.task_names.empty() && !graph.task_names[t].empty()) return graph.task_names[t];
  std::string text;
  if (graph.node[t] >= 0) text = graph.node_names[static_cast<std::size_t>(graph.node[t])] + " ";
  text += action(graph, t);
  if (graph.micro_batch[t] >= 0) text += fmt::format(" mb{}", graph.micro_batch[t]);
  return text;
}

TaskGraphBuilder::TaskGraphBuilder(int devices) {
  if (devices < 1) reject(fmt::format("a task graph needs at least 1 device, got {}", devices));
  graph_.devices = devices;
  graph_.stream_names = {"compute", "copy_in", "copy_out", "collective"};
}

OpId TaskGraphBuilder::add_op(const Op& op) {
  const std::size_t hash = hash_of(op);
  const auto [first, last] = interned_.equal_range(hash);
  const auto known = std::find_if(
      first, last, [&](const auto& e) { return same(graph_.ops[index(e.second)], op); });
  if (known != last) return known->second;
  const auto id = static_cast<OpId>(graph_.ops.size());
  graph_.ops.push_back(op);
  interned_.emplace(hash, id);
  return id;
}

BufferId TaskGraphBuilder::add_buffer(Buffer buffer) {
  graph_.buffers.push_back(std::move(buffer));
  return static_cast<BufferId>(graph_.buffers.size() - 1);
}

std::int32_t TaskGraphBuilder::add_collective(Collective collective) {
  graph_.collectives.push_back(std::move(collective));
  return static_cast<std::int32_t>(graph_.collectives.size() - 1);
}

std::int32_t TaskGraphBuilder::add_node_name(std::string name) {
  graph_.node_names.push_back(std::move(name));
  return static_cast<std::int32_t>(graph_.node_names.size() - 1);
}

StreamId TaskGraphBuilder::stream_named(const std::string& name) {
  std::vector<std::string>& names = graph_.stream_names;
  const auto known = std::find(names.begin(), names.end(), name);
  if (known != names.end()) return static_cast<StreamId>(known - names.begin());
  if (names.size() > static_cast<std::size_t>(std::numeric_limits<std::int16_t>::max())) {
    reject(fmt::format("stream '{}' is one too many: {} have names", name, names.size()));
  }
  names.push_back(name);
  return static_cast<StreamId>(names.size() - 1);
}

void TaskGraphBuilder::add_placement(const Placement& placement) {
  graph_.placements.push_back(placement);
}

void TaskGraphBuilder::set_global_batch(std::int64_t samples) { graph_.global_batch = samples; }

void TaskGraphBuilder::reserve(std::size_t tasks) {
  graph_.kind.reserve(tasks);
  graph_.device.reserve(tasks);
  graph_.stream.reserve(tasks);
  graph_.op.reserve(tasks);
  graph_.source.reserve(tasks);
  graph_.bytes.reserve(tasks);
  graph_.node.reserve(tasks);
  graph_.micro_batch.reserve(tasks);
  graph_.collective.reserve(tasks);
  graph_.after.begin.reserve(tasks + 1);
  graph_.reads.begin.reserve(tasks + 1);
  graph_.writes.begin.reserve(tasks + 1);
  graph_.allocates.begin.reserve(tasks + 1);
  graph_.frees.begin.reserve(tasks + 1);
}

TaskId TaskGraphBuilder::append(const TaskView& task) {
  const auto id = static_cast<TaskId>(size());
  const bool transfer = task.kind == TaskKind::transfer;
  graph_.kind.push_back(task.kind);
  graph_.device.push_back(task.device);
  graph_.stream.push_back(task.stream);
  graph_.op.push_back(transfer ? OpId{-1} : task.op);
  graph_.source.push_back(transfer ? task.source.value_or(DeviceId{-1}) : task.device);
  graph_.bytes.push_back(transfer ? task.bytes : Bytes{});
  graph_.node.push_back(task.node);
  graph_.micro_batch.push_back(task.micro_batch);
  graph_.collective.push_back(task.collective);
  append_row(graph_.after, task.after);
  append_row(graph_.reads, task.reads);
  append_row(graph_.writes, task.writes);
  append_row(graph_.allocates, task.allocates);
  append_row(graph_.frees, task.frees);
  if (!task.name.empty()) {
    graph_.task_names.resize(index(id));
    graph_.task_names.emplace_back(task.name);
  }
  return id;
}

TaskId TaskGraphBuilder::add(const TaskSpec& spec) {
  return append({.kind = spec.kind,
                 .device = spec.device,
                 .stream = spec.stream,
                 .op = spec.op,
                 .source = spec.source,
                 .bytes = spec.bytes,
                 .node = spec.node,
                 .micro_batch = spec.micro_batch,
                 .collective = spec.collective,
                 .after = spec.after,
                 .reads = spec.reads,
                 .writes = spec.writes,
                 .allocates = spec.allocates,
                 .frees = spec.frees,
                 .name = spec.name});
}

void TaskGraphBuilder::add_free(TaskId task, BufferId buffer) {
  late_frees_.push_back({task, buffer});
}

void TaskGraphBuilder::add_after(TaskId task, TaskId predecessor) {
  late_after_.push_back({task, predecessor});
}

/// Puts each late item behind its task's row, in the order in which they came.
template <typename T>
void TaskGraphBuilder::merge(Rows<T>& rows, const std::vector<Late<T>>& late, bool once) {
  if (late.empty()) return;
  Rows<T> of_task;  // the late items alone, by task
  of_task.begin.assign(rows.size() + 1, 0);
  of_task.items.resize(late.size());
  for (const Late<T>& one : late) ++of_task.begin[index(one.task) + 1];
  for (std::size_t t = 0; t < rows.size(); ++t) of_task.begin[t + 1] += of_task.begin[t];
  std::vector<std::int32_t> next(of_task.begin.begin(), of_task.begin.end() - 1);
  for (const Late<T>& one : late) {
    of_task.items[static_cast<std::size_t>(next[index(one.task)]++)] = one.item;
  }
  Rows<T> merged;
  merged.begin.reserve(rows.begin.size());
  merged.items.reserve(rows.items.size() + late.size());
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const std::size_t first = merged.items.size();
    for (const T& item : rows[t]) merged.items.push_back(item);
    for (const T& item : of_task[t]) {
      const auto row = merged.items.begin() + static_cast<std::ptrdiff_t>(first);
      if (once && std::find(row, merged.items.end(), item) != merged.items.end()) continue;
      merged.items.push_back(item);
    }
    merged.close_row();
  }
  rows = std::move(merged);
}

TaskGraph TaskGraphBuilder::build() && {
  if (!graph_.task_names.empty()) graph_.task_names.resize(size());
  merge(graph_.after, late_after_, true);
  merge(graph_.frees, late_frees_, false);
  check_tasks(graph_);
  graph_.order = topological_order(graph_);
  check_buffers(graph_);
  return std::move(graph_);
}

}  // namespace foreplan
