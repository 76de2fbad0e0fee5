#include <algorithm>
#include <utility>

#include "planner/branch_step.hpp"

namespace foreplan {

/// Writes a step as tasks, the devices of one replica.
class BranchStep::GraphWriter {
 public:
  explicit GraphWriter(const BranchStep& step)
      : step_(step), course_(step.course_), builder_(step.strategy_.bp) {
    builder_.set_global_batch(step.task_.global_batch);
    for (const Layer& layer : step.task_.model.layers()) builder_.add_node_name(layer.name);
    ends_node_ = builder_.add_node_name("step");
    last_.resize(static_cast<std::size_t>(step.strategy_.bp));
  }

  FoldedGraph write() {
    for (std::int64_t m = 0; m < step_.batch_.micro_batches; ++m) {
      micro_batch_ = static_cast<std::int32_t>(m);
      for (std::size_t s = 0; s < course_.ways.size(); ++s) {
        add_way(s, course_.ways[s].forward, Pass::forward);
      }
      for (std::size_t s = course_.ways.size(); s-- > 0;) {
        add_way(s, course_.ways[s].backward, Pass::backward_input);
      }
    }
    for (std::int32_t d = 0; d < step_.strategy_.bp; ++d) add_end(d);
    FoldedGraph result{.graph = std::move(builder_).build(), .costs = {}};
    result.costs.flow.resize(durations_.size());
    result.costs.duration = std::move(durations_);
    return result;
  }

 private:
  TaskId add(TaskSpec spec, Duration duration) {
    durations_.push_back(duration);
    return builder_.add(std::move(spec));
  }

  OpId op(const char* name, Pass pass, Duration duration) {
    return builder_.add_op({.key = {.op = name, .pass = pass, .shape = {1}},
                            .flops = {},
                            .traffic = {},
                            .given = duration});
  }

  /// A way behind all of the one before.
  void add_way(std::size_t stretch, const StretchWay& way, Pass pass) {
    std::vector<TaskId> tasks;
    std::vector<bool> followed(way.events.size(), false);
    for (const BranchEvent& event : way.events) {
      TaskSpec spec = task_of(stretch, event, pass);
      for (const std::int32_t before : event.after) {
        spec.after.push_back(tasks[static_cast<std::size_t>(before)]);
        followed[static_cast<std::size_t>(before)] = true;
      }
      if (event.after.empty()) spec.after = barrier_;
      tasks.push_back(add(std::move(spec), event.finish - event.start));
      if (event.kind == BranchEvent::Kind::compute) {
        last_[static_cast<std::size_t>(event.from)] = tasks.back();
      }
    }
    barrier_.clear();
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (!followed[i]) barrier_.push_back(tasks[i]);
    }
  }

  TaskSpec task_of(std::size_t stretch, const BranchEvent& event, Pass pass) {
    const std::int32_t layer = step_.stretches_[stretch].first + event.layer;
    TaskSpec spec{.device = DeviceId{event.to}, .node = layer, .micro_batch = micro_batch_};
    if (event.kind == BranchEvent::Kind::compute) {
      spec.op = op("layer", pass, event.finish - event.start);
      return spec;
    }
    spec.kind = TaskKind::transfer;
    spec.stream = kNoStream;
    spec.source = DeviceId{event.from};
    spec.bytes = step_.bytes_of(stretch, event.layer);
    return spec;
  }

  void add_end(std::int32_t device) {
    const auto d = static_cast<std::size_t>(device);
    const DeviceEnd& end = course_.ends[d];
    std::vector<TaskId> after;
    if (last_[d]) after.push_back(*last_[d]);
    const auto then = [&](const char* what, StreamId stream, Duration duration) {
      after = {add({.device = DeviceId{device},
                    .stream = stream,
                    .op = op(what, Pass::optimizer, duration),
                    .node = ends_node_,
                    .after = after},
                   duration)};
    };
    then("aggregate_gradients", kCollectiveStream, end.ready - end.finish);
    then("update", kComputeStream, end.update);
    then("gather_parameters", kCollectiveStream, end.gather);
    then("wait_for_host", kComputeStream, step_.task_.stack.host_step);
    const StageMemory& memory = course_.memory[d];
    keep(device, BufferCategory::parameter, memory.parameters);
    keep(device, BufferCategory::gradient, memory.gradients);
    keep(device, BufferCategory::optimizer_state, memory.optimizer);
    keep(device, BufferCategory::activation, memory.activations);
    keep(device, BufferCategory::workspace, memory.buffers);
  }

  void keep(std::int32_t device, BufferCategory category, Bytes bytes) {
    if (bytes == Bytes{}) return;
    builder_.add_buffer(
        {.device = DeviceId{device}, .bytes = bytes, .category = category, .persistent = true});
  }

  const BranchStep& step_;
  const Course& course_;
  TaskGraphBuilder builder_;
  std::vector<Duration> durations_;
  std::int32_t micro_batch_ = 0, ends_node_ = 0;
  std::vector<TaskId> barrier_;              ///< what of the way before nothing follows in it
  std::vector<std::optional<TaskId>> last_;  ///< by device: the last layer
};

FoldedGraph BranchStep::graph() const { return GraphWriter(*this).write(); }

}  // namespace foreplan
