#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "planner/folded_step.hpp"

namespace foreplan {
namespace {

using Kind = PipelineAction::Kind;

Pass pass_of(Kind kind) {
  if (kind == Kind::forward) return Pass::forward;
  return kind == Kind::backward_weight ? Pass::backward_weight : Pass::backward_input;
}

Duration duration_of(Kind kind, const VirtualStageCost& cost) {
  switch (kind) {
    case Kind::forward:
      return cost.forward;
    case Kind::backward:
      return cost.backward_input + cost.backward_weight;
    case Kind::backward_input:
      return cost.backward_input;
    case Kind::backward_weight:
      return cost.backward_weight;
  }
  return {};
}

}  // namespace

/// Writes a folded step as tasks, one device a stage.
class FoldedStep::GraphWriter {
 public:
  explicit GraphWriter(const FoldedStep& step)
      : step_(step),
        shape_(step.shape_),
        builder_(shape_.stages),
        forward_(tasks_by_chunk()),
        backward_(tasks_by_chunk()),
        last_(static_cast<std::size_t>(shape_.stages), TaskId{-1}) {
    builder_.set_global_batch(step.task_.global_batch);
    for (int j = 0; j < shape_.virtual_stages(); ++j) {
      builder_.add_node_name(fmt::format("virtual stage {}", j));
    }
    ends_node_ = builder_.add_node_name("step");
  }

  FoldedGraph write(const PipelineCosts& pipeline, const std::vector<StageEnd>& ends,
                    const std::vector<StageMemory>& memory, const std::vector<Duration>& finish) {
    for (int s = 0; s < shape_.stages; ++s) add_stage(s, pipeline);
    for (int j = 0; j < shape_.virtual_stages(); ++j) join(j, pipeline);
    for (int s = 0; s < shape_.stages; ++s) {
      const auto stage = static_cast<std::size_t>(s);
      add_end(s, ends[stage], finish[stage]);
      keep(s, BufferCategory::parameter, memory[stage].parameters);
      keep(s, BufferCategory::gradient, memory[stage].gradients);
      keep(s, BufferCategory::optimizer_state, memory[stage].optimizer);
      keep(s, BufferCategory::workspace, memory[stage].buffers);
    }
    FoldedGraph result{.graph = std::move(builder_).build(), .costs = {}};
    result.costs.flow.resize(durations_.size());
    result.costs.duration = std::move(durations_);
    return result;
  }

 private:
  using TasksByChunk = std::vector<std::vector<TaskId>>;
  TasksByChunk tasks_by_chunk() const {
    return {static_cast<std::size_t>(shape_.virtual_stages()),
            std::vector(static_cast<std::size_t>(shape_.micro_batches), TaskId{-1})};
  }

  TaskId add(TaskSpec spec, Duration duration) {
    durations_.push_back(duration);
    return builder_.add(std::move(spec));
  }

  OpId op(std::string name, Pass pass, std::int64_t number, Duration duration) {
    return builder_.add_op({.key = {.op = std::move(name), .pass = pass, .shape = {number}},
                            .flops = {},
                            .traffic = {},
                            .given = duration});
  }

  void keep(int stage, BufferCategory category, Bytes bytes) {
    if (bytes == Bytes{}) return;
    builder_.add_buffer(
        {.device = DeviceId{stage}, .bytes = bytes, .category = category, .persistent = true});
  }

  void add_stage(int s, const PipelineCosts& pipeline) {
    for (const PipelineAction& action : pipeline_schedule(shape_, s)) {
      const int at = virtual_stage(shape_.schedule, shape_.stages, shape_.chunks, s, action.chunk);
      const TaskId task = add_action(s, at, action, pipeline);
      TaskId& last = last_[static_cast<std::size_t>(s)];
      if (last != TaskId{-1}) following_[last] = task;
      last = task;
    }
  }

  TaskId add_action(int s, int at, const PipelineAction& action, const PipelineCosts& pipeline) {
    const auto j = static_cast<std::size_t>(at), i = static_cast<std::size_t>(action.micro_batch);
    const Duration duration = duration_of(action.kind, pipeline.stages[j]);
    TaskSpec spec{.device = DeviceId{s},
                  .op = op("stage", pass_of(action.kind), at + 1, duration),
                  .node = at,
                  .micro_batch = action.micro_batch};
    const bool ends = action.kind == Kind::backward || action.kind == Kind::backward_weight;
    if (action.kind == Kind::forward) {
      kept_[{at, action.micro_batch}] =
          builder_.add_buffer({.device = DeviceId{s}, .bytes = step_.held(at)});
      spec.allocates.push_back(kept_[{at, action.micro_batch}]);
    }
    if (ends) spec.frees.push_back(kept_[{at, action.micro_batch}]);
    const TaskId task = add(std::move(spec), duration);
    if (action.kind == Kind::forward)
      forward_[j][i] = task;
    else if (action.kind != Kind::backward_weight)
      backward_[j][i] = task;
    return task;
  }

  /// The data that virtual stage `at` gets and gives back.
  void join(int at, const PipelineCosts& pipeline) {
    const auto j = static_cast<std::size_t>(at);
    for (int i = 0; i < shape_.micro_batches; ++i) {
      const auto m = static_cast<std::size_t>(i);
      if (forward_[j][m] == TaskId{-1}) continue;
      if (!has_next(shape_, at)) {
        builder_.add_after(backward_[j][m], forward_[j][m]);
        continue;
      }
      const HopCost& hop = pipeline.hops[j];
      move({.from = at,
            .to = at + 1,
            .micro_batch = i,
            .producer = forward_[j][m],
            .consumer = forward_[j + 1][m],
            .time = hop.forward,
            .blocking = hop.blocking});
      move({.from = at + 1,
            .to = at,
            .micro_batch = i,
            .producer = backward_[j + 1][m],
            .consumer = backward_[j][m],
            .time = hop.backward,
            .blocking = hop.blocking});
    }
  }

  /// What one virtual stage sends to another.
  struct Message {
    int from = 0, to = 0;
    std::int32_t micro_batch = 0;
    TaskId producer{}, consumer{};
    Duration time{};
    bool blocking = false;
  };

  void move(const Message& message) {
    const DeviceId source{stage_of(shape_, message.from)};
    const DeviceId destination{stage_of(shape_, message.to)};
    if (source == destination) return builder_.add_after(message.consumer, message.producer);
    const auto first = static_cast<std::size_t>(std::min(message.from, message.to));
    const TaskId copy = add({.kind = TaskKind::transfer,
                             .device = destination,
                             .stream = kNoStream,
                             .source = source,
                             .bytes = step_.works_[step_.stages_[first].back().unit_class].leaving,
                             .node = message.from,
                             .micro_batch = message.micro_batch,
                             .after = {message.producer}},
                            message.time);
    builder_.add_after(message.consumer, copy);
    const auto next = following_.find(message.producer);
    if (message.blocking && next != following_.end()) builder_.add_after(next->second, copy);
  }

  void add_end(int s, const StageEnd& end, Duration finish) {
    TaskId before = last_[static_cast<std::size_t>(s)];
    const auto then = [&](const char* what, StreamId stream, Duration duration) {
      if (duration <= Duration::zero()) return;
      before = add({.device = DeviceId{s},
                    .stream = stream,
                    .op = op(what, Pass::optimizer, s + 1, duration),
                    .node = ends_node_,
                    .after = {before}},
                   duration);
    };
    then("aggregate_gradients", kCollectiveStream, end.ready - finish);
    then("update", kComputeStream, end.update);
    then("gather_parameters", kCollectiveStream, end.gather);
    then("wait_for_host", kComputeStream, end.host);
  }

  const FoldedStep& step_;
  const PipelineShape& shape_;
  TaskGraphBuilder builder_;
  std::vector<Duration> durations_;
  TasksByChunk forward_, backward_;
  std::vector<TaskId> last_;            ///< of each stage's actions
  std::map<TaskId, TaskId> following_;  ///< on the same stage
  std::map<std::pair<int, int>, BufferId> kept_;
  std::int32_t ends_node_ = 0;
};

FoldedGraph FoldedStep::graph(const CostModel& costs) const {
  const std::vector<Chunk> chunks = price_chunks(replicas_.front(), costs);
  const PipelineCosts pipeline = pipeline_costs(chunks);
  std::vector<Duration> finish;
  for (const auto& actions : evaluator_.timeline(pipeline)) finish.push_back(actions.back().finish);
  Workspace workspace;
  const std::vector<StageEnd> ends = ends_of(run_all(costs, workspace), costs);
  return GraphWriter(*this).write(pipeline, ends, base_.stages, finish);
}

}  // namespace foreplan
