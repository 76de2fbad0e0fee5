#include "profiler/device_part.hpp"

#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace foreplan {
namespace {

/// Copies one device's tasks, buffers and placements into a graph of their own.
class Part {
 public:
  Part(const TaskGraph& graph, DeviceId device)
      : graph_(graph), device_(device), tasks_(graph.size()), buffers_(graph.buffers.size()) {
    for (std::size_t i = 0; i < graph.buffers.size(); ++i) {
      if (graph.buffers[i].device != device) continue;
      Buffer buffer = graph.buffers[i];
      buffer.device = DeviceId{0};
      buffers_[i] = builder_.add_buffer(std::move(buffer));
    }
    for (const std::string& name : graph.node_names) builder_.add_node_name(name);
    if (graph.global_batch > 0) builder_.set_global_batch(graph.global_batch);
  }

  TaskGraph build() && {
    for (std::size_t i = 0; i < graph_.size(); ++i) {
      if (graph_.device[i] == device_ && graph_.source[i] == device_) add(i);
    }
    for (Placement placement : graph_.placements) {
      if (!buffers_[index(placement.range.buffer)]) continue;
      placement.range.buffer = *buffers_[index(placement.range.buffer)];
      builder_.add_placement(placement);
    }
    return std::move(builder_).build();
  }

 private:
  void add(std::size_t i) {
    TaskSpec task{.kind = graph_.kind[i],
                  .device = DeviceId{0},
                  .stream = stream(graph_.stream[i]),
                  .bytes = graph_.bytes[i],
                  .node = graph_.node[i],
                  .micro_batch = graph_.micro_batch[i]};
    if (graph_.op[i] != OpId{-1}) task.op = builder_.add_op(graph_.ops[index(graph_.op[i])]);
    if (graph_.kind[i] == TaskKind::transfer) task.source = DeviceId{0};
    for (const TaskId before : graph_.after[i]) {
      if (tasks_[index(before)]) task.after.push_back(*tasks_[index(before)]);
    }
    task.reads = ranges(graph_.reads[i]);
    task.writes = ranges(graph_.writes[i]);
    for (const BufferId id : graph_.allocates[i]) task.allocates.push_back(*buffers_[index(id)]);
    for (const BufferId id : graph_.frees[i]) task.frees.push_back(*buffers_[index(id)]);
    tasks_[i] = builder_.add(std::move(task));
  }

  StreamId stream(StreamId id) {
    return id == kNoStream ? id : builder_.stream_named(graph_.stream_names[index(id)]);
  }

  std::vector<BufferRange> ranges(std::span<const BufferRange> from) const {
    std::vector<BufferRange> result(from.begin(), from.end());
    for (BufferRange& range : result) range.buffer = *buffers_[index(range.buffer)];
    return result;
  }

  const TaskGraph& graph_;
  DeviceId device_;
  TaskGraphBuilder builder_{1};
  std::vector<std::optional<TaskId>> tasks_;
  std::vector<std::optional<BufferId>> buffers_;
};

}  // namespace

TaskGraph device_part(const TaskGraph& graph, DeviceId device) {
  return Part(graph, device).build();
}

}  // namespace foreplan
