#include "planner/lowering.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "planner/layer_lowering.hpp"
#include "planner/partition.hpp"
#include "planner/pipeline_schedule.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kFloat = 4;  ///< bytes of an fp32 number, and of an int32 label

std::vector<LayerRange> layer_ranges(const OpGraph& model, const Strategy& strategy) {
  std::vector<LayerRange> ranges;
  int begin = 0;
  for (const int count : strategy.layers) {
    ranges.emplace_back(begin, begin + count);
    begin += count;
  }
  if (ranges.empty()) ranges.emplace_back(0, 0);
  ranges.back().second = static_cast<int>(model.size());
  return ranges;
}

/// Writes the whole step: see lower().
class StepLowering {
 public:
  StepLowering(const OpGraph& model, const Strategy& strategy, std::int64_t global_batch,
               const LoweringOptions& options)
      : batch_(split_batch(strategy, global_batch)),
        shape_(pipeline_shape(strategy, static_cast<int>(batch_.micro_batches))),
        setting_{.model = model,
                 .strategy = strategy,
                 .options = options,
                 .micro_batch_samples = batch_.micro_batch,
                 .shardings = shard(model, strategy.tp),
                 .layers = layer_ranges(model, strategy)},
        emitter_(strategy.devices(), options.concurrent_streams, options.algorithm),
        devices_(static_cast<std::size_t>(strategy.devices())),
        layers_(setting_, emitter_, devices_) {
    emitter_.builder().set_global_batch(global_batch);
    for (const Layer& layer : model.layers()) emitter_.builder().add_node_name(layer.name);
  }

  TaskGraph run() && {
    for (int stage = 0; stage < setting_.strategy.pp; ++stage) {
      for (int d = 0; d < setting_.strategy.dp; ++d) {
        for (int t = 0; t < setting_.strategy.tp; ++t) prepare_device(d, stage, t);
      }
    }
    for (int d = 0; d < setting_.strategy.dp; ++d) run_pipeline(d);
    aggregate_gradients();
    run_optimizer();
    return std::move(emitter_).finish();
  }

 private:
  DeviceId device(int d, int stage, int t) const { return layers_.device(d, stage, t); }

  void prepare_device(int d, int stage, int t);
  void prepare_samples(DeviceId id, int d, int stage);
  void run_pipeline(int d);
  std::vector<LayerRange> layers_on(int stage) const;
  bool try_action(int stage, const PipelineAction& action);
  void forward(Cell& cell);
  void backward(Cell& cell);
  Cell::PerRank receive(const Cell& to, const Cell& origin, const Cell::PerRank& from, int layer);
  void aggregate_gradients();
  void run_optimizer();

  std::size_t index_of(int virtual_stage, int micro_batch) const {
    return static_cast<std::size_t>(virtual_stage * batch_.micro_batches + micro_batch);
  }
  Cell& cell(int virtual_stage, int micro_batch) {
    return cells_[index_of(virtual_stage, micro_batch)];
  }

  BatchSplit batch_;
  PipelineShape shape_;
  LayerLowering::Setting setting_;
  Emitter emitter_;
  std::vector<DeviceState> devices_;
  LayerLowering layers_;
  std::vector<Cell> cells_;    ///< of one data-parallel rank: virtual stage by micro-batch
  std::vector<char> done_[2];  ///< [forward], as cells_
};

void StepLowering::prepare_device(int d, int stage, int t) {
  const DeviceId id = device(d, stage, t);
  DeviceState& state = devices_[index(id)];
  state.layout = layout_parameters(setting_.model, setting_.shardings, layers_on(stage),
                                   {setting_.strategy.tp, t}, setting_.options.buckets);
  const int moments = state_tensors(setting_.options.optimizer);
  for (const Bytes bytes : state.layout.buckets) {
    state.parameters.push_back(emitter_.persistent(id, bytes, BufferCategory::parameter));
    state.gradients.push_back(emitter_.persistent(id, bytes, BufferCategory::gradient));
    std::vector<Value> remembered;
    for (int i = 0; i < moments; ++i) {
      remembered.push_back(emitter_.persistent(id, bytes, BufferCategory::optimizer_state));
    }
    state.moments.push_back(std::move(remembered));
    state.last_write.emplace_back();
  }
  for (const ParameterPlace& place : state.layout.places) {
    const Bytes bytes{kFloat * place.shard.elements()};
    const auto bucket = static_cast<std::size_t>(place.bucket);
    for (const auto role : {Placement::Role::parameter, Placement::Role::gradient}) {
      const Value& home =
          role == Placement::Role::parameter ? state.parameters[bucket] : state.gradients[bucket];
      emitter_.builder().add_placement({.role = role,
                                        .range = part(home, place.offset, bytes).range,
                                        .tensor = place.tensor,
                                        .row = place.shard.row,
                                        .rows = place.shard.rows,
                                        .column = place.shard.column,
                                        .columns = place.shard.columns});
    }
  }
  prepare_samples(id, d, stage);
}

std::vector<LayerRange> StepLowering::layers_on(int stage) const {
  std::vector<LayerRange> ranges;
  for (int at = 0; at < shape_.virtual_stages(); ++at) {
    if (stage_of(shape_, at) == stage) {
      ranges.push_back(setting_.layers[static_cast<std::size_t>(at)]);
    }
  }
  return ranges;
}

/// Samples lie on the stage of the first virtual stage, labels and losses on that of the last.
void StepLowering::prepare_samples(DeviceId id, int d, int stage) {
  DeviceState& state = devices_[index(id)];
  TaskGraphBuilder& builder = emitter_.builder();
  const std::int64_t first = d * batch_.share;
  if (stage == stage_of(shape_, 0)) {
    const std::int64_t width = setting_.model.input_features();
    state.samples =
        emitter_.persistent(id, Bytes{kFloat * batch_.share * width}, BufferCategory::input);
    builder.add_placement({.role = Placement::Role::input,
                           .range = state.samples.range,
                           .row = first,
                           .rows = batch_.share,
                           .column = 0,
                           .columns = width});
  }
  if (stage != stage_of(shape_, shape_.virtual_stages() - 1)) return;
  state.labels = emitter_.persistent(id, Bytes{kFloat * batch_.share}, BufferCategory::input);
  builder.add_placement({.role = Placement::Role::label,
                         .range = state.labels.range,
                         .row = first,
                         .rows = batch_.share,
                         .column = 0,
                         .columns = 1});
  state.losses =
      emitter_.persistent(id, Bytes{kFloat * batch_.micro_batches}, BufferCategory::workspace);
  for (std::int64_t i = 0; i < batch_.micro_batches; ++i) {
    builder.add_placement({.role = Placement::Role::loss,
                           .range = part(state.losses, Bytes{kFloat * i}, Bytes{kFloat}).range,
                           .row = first + i * batch_.micro_batch,
                           .rows = batch_.micro_batch,
                           .column = 0,
                           .columns = 1});
  }
}

void StepLowering::run_pipeline(int d) {
  const int stages = shape_.stages;
  cells_.assign(index_of(shape_.virtual_stages(), 0), {});
  done_[0].assign(cells_.size(), 0);
  done_[1].assign(cells_.size(), 0);
  for (int at = 0; at < shape_.virtual_stages(); ++at) {
    for (int i = 0; i < shape_.micro_batches; ++i) {
      cell(at, i).dp_rank = d;
      cell(at, i).virtual_stage = at;
      cell(at, i).stage = stage_of(shape_, at);
      cell(at, i).micro_batch = i;
    }
  }
  std::vector<std::vector<PipelineAction>> actions;
  for (int stage = 0; stage < stages; ++stage) actions.push_back(pipeline_schedule(shape_, stage));
  // Stage by stage as far as each gets, again and again: emission is then an execution order.
  std::vector<std::size_t> next(static_cast<std::size_t>(stages), 0);
  for (bool progress = true; progress;) {
    progress = false;
    for (int stage = 0; stage < stages; ++stage) {
      const auto at = static_cast<std::size_t>(stage);
      while (next[at] < actions[at].size() && try_action(stage, actions[at][next[at]])) {
        ++next[at];
        progress = true;
      }
    }
  }
}

/// Writes the action if what it needs from the neighbouring virtual stage has been written.
bool StepLowering::try_action(int stage, const PipelineAction& action) {
  using Kind = PipelineAction::Kind;
  const int at = virtual_stage(shape_.schedule, shape_.stages, shape_.chunks, stage, action.chunk);
  Cell& here = cell(at, action.micro_batch);
  if (action.kind == Kind::backward_weight) {
    layers_.backward_weights(here);
    return true;
  }
  const bool is_forward = action.kind == Kind::forward;
  const bool needs_neighbour = is_forward ? at > 0 : has_next(shape_, at);
  const int neighbour = is_forward ? at - 1 : at + 1;
  std::vector<char>& done = done_[is_forward ? 1 : 0];
  if (needs_neighbour && done[index_of(neighbour, action.micro_batch)] == 0) return false;
  if (is_forward) {
    forward(here);
  } else {
    here.split_backward = action.kind == Kind::backward_input;
    backward(here);
  }
  done[index_of(at, action.micro_batch)] = 1;
  return true;
}

/// Brings values from the neighbouring virtual stage `origin`, rank by rank.
Cell::PerRank StepLowering::receive(const Cell& to, const Cell& origin, const Cell::PerRank& from,
                                    int layer) {
  if (to.stage == origin.stage) return from;
  Cell::PerRank received;
  for (int t = 0; t < setting_.strategy.tp; ++t) {
    const Value& value = from[static_cast<std::size_t>(t)];
    const EmitContext context{.device = layers_.device(to.dp_rank, to.stage, t),
                              .node = layer,
                              .micro_batch = to.micro_batch};
    received.push_back(setting_.options.communication
                           ? emitter_.pull(context, value)
                           : emitter_.persistent(context.device, value.range.bytes,
                                                 BufferCategory::communication));
  }
  return received;
}

void StepLowering::forward(Cell& at) {
  const auto [first, last] = setting_.layers[static_cast<std::size_t>(at.virtual_stage)];
  const auto slots = static_cast<std::size_t>(last - first + 1);
  at.saved.resize(slots);
  at.gradients.resize(slots);
  if (at.virtual_stage > 0) {
    const Cell& before = cell(at.virtual_stage - 1, at.micro_batch);
    at.outputs.push_back(receive(at, before, before.outputs.back(), first - 1));
  } else {
    Cell::PerRank samples;
    const Bytes bytes{kFloat * batch_.micro_batch * setting_.model.input_features()};
    for (int t = 0; t < setting_.strategy.tp; ++t) {
      const DeviceState& state = devices_[index(layers_.device(at.dp_rank, at.stage, t))];
      samples.push_back(part(state.samples, bytes * at.micro_batch, bytes));
    }
    at.outputs.push_back(std::move(samples));
  }
  for (int layer = first; layer < last; ++layer) layers_.forward(at, layer);
}

void StepLowering::backward(Cell& at) {
  const auto [first, last] = setting_.layers[static_cast<std::size_t>(at.virtual_stage)];
  if (has_next(shape_, at.virtual_stage)) {
    Cell& next = cell(at.virtual_stage + 1, at.micro_batch);
    const Cell::PerRank gradient = layers_.gradient(next, 0, last);
    at.gradients.back().push_back(receive(at, next, gradient, last - 1));
  }
  for (int layer = last - 1; layer >= first; --layer) layers_.backward(at, layer);
  // Sum what this stage owes the one before now, in its own order of work.
  if (at.virtual_stage > 0) layers_.gradient(at, 0, first);
}

void StepLowering::aggregate_gradients() {
  const Strategy& strategy = setting_.strategy;
  if (strategy.dp == 1 || !setting_.options.communication) return;
  for (int stage = 0; stage < strategy.pp; ++stage) {
    for (int t = 0; t < strategy.tp; ++t) {
      const std::size_t buckets = devices_[index(device(0, stage, t))].gradients.size();
      for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
        std::vector<Value*> values;
        for (int d = 0; d < strategy.dp; ++d) {
          DeviceState& state = devices_[index(device(d, stage, t))];
          state.gradients[bucket].ready = state.last_write[bucket];
          values.push_back(&state.gradients[bucket]);
        }
        emitter_.collective(CollectiveKind::all_reduce, kCollectiveStream, values, {},
                            fmt::format("gradients {}", bucket));
      }
    }
  }
}

void StepLowering::run_optimizer() {
  const Optimizer optimizer = setting_.options.optimizer;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    DeviceState& state = devices_[i];
    for (std::size_t bucket = 0; bucket < state.parameters.size(); ++bucket) {
      std::vector<Value*> writes{&state.parameters[bucket]};
      for (Value& moment : state.moments[bucket]) writes.push_back(&moment);
      const std::int64_t count = state.parameters[bucket].range.bytes.count / kFloat;
      emitter_.compute(
          {.device = DeviceId{static_cast<std::int32_t>(i)}},
          {.op = std::string(name(optimizer)), .pass = Pass::optimizer, .shape = {count}},
          {state.gradients[bucket]}, writes);
    }
  }
}

}  // namespace

TaskGraph lower(const OpGraph& model, const Strategy& strategy, std::int64_t global_batch,
                const LoweringOptions& options) {
  check(strategy, model, std::numeric_limits<int>::max(), global_batch);
  if (strategy.pp > 1 && strategy.layers.empty()) {
    reject("strategy: lowering needs the layers of each stage (layers=...)");
  }
  return StepLowering(model, strategy, global_batch, options).run();
}

}  // namespace foreplan
