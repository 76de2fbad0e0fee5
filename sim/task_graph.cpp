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
void append(Rows<T>& rows, const std::vector<T>& row) {
  if (!row.empty()) rows.items.insert(rows.items.end(), row.begin(), row.end());
  rows.close_row();
}

void reserve(TaskGraph& graph, const std::vector<TaskSpec>& specs) {
  const std::size_t n = specs.size();
  graph.kind.reserve(n);
  graph.device.reserve(n);
  graph.stream.reserve(n);
  graph.op.reserve(n);
  graph.source.reserve(n);
  graph.bytes.reserve(n);
  graph.node.reserve(n);
  graph.micro_batch.reserve(n);
  graph.collective.reserve(n);
  graph.after.begin.reserve(n + 1);
  graph.reads.begin.reserve(n + 1);
  graph.writes.begin.reserve(n + 1);
  graph.allocates.begin.reserve(n + 1);
  graph.frees.begin.reserve(n + 1);
}

void flatten(TaskGraph& graph, const TaskSpec& spec) {
  const bool transfer = spec.kind == TaskKind::transfer;
  graph.kind.push_back(spec.kind);
  graph.device.push_back(spec.device);
  graph.stream.push_back(spec.stream);
  graph.op.push_back(transfer ? OpId{-1} : spec.op);
  graph.source.push_back(transfer ? spec.source.value_or(DeviceId{-1}) : spec.device);
  graph.bytes.push_back(transfer ? spec.bytes : Bytes{});
  graph.node.push_back(spec.node);
  graph.micro_batch.push_back(spec.micro_batch);
  graph.collective.push_back(spec.collective);
  append(graph.after, spec.after);
  append(graph.reads, spec.reads);
  append(graph.writes, spec.writes);
  append(graph.allocates, spec.allocates);
  append(graph.frees, spec.frees);
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

TaskId TaskGraphBuilder::add(TaskSpec spec) {
  specs_.push_back(std::move(spec));
  return static_cast<TaskId>(specs_.size() - 1);
}

void TaskGraphBuilder::add_free(TaskId task, BufferId buffer) {
  specs_[index(task)].frees.push_back(buffer);
}

void TaskGraphBuilder::add_after(TaskId task, TaskId predecessor) {
  specs_[index(task)].after.push_back(predecessor);
}

TaskGraph TaskGraphBuilder::build() && {
  reserve(graph_, specs_);
  for (const TaskSpec& spec : specs_) flatten(graph_, spec);
  const auto named = [](const TaskSpec& spec) { return !spec.name.empty(); };
  if (std::any_of(specs_.begin(), specs_.end(), named)) {
    for (TaskSpec& spec : specs_) graph_.task_names.push_back(std::move(spec.name));
  }
  specs_.clear();
  check_tasks(graph_);
  graph_.order = topological_order(graph_);
  check_buffers(graph_);
  return std::move(graph_);
}

}  // namespace foreplan
