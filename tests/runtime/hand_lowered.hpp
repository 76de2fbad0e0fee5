#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/op_graph.hpp"
#include "runtime/training_options.hpp"
#include "sim/collective.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// A lowering for tests, as plain as can be: every device does its share of the batch, layer by
/// layer; gradients meet in a ring; every device updates all weights.
class HandLowering {
 public:
  HandLowering(const OpGraph& model, int devices, std::int64_t batch,
               Optimizer optimizer = Optimizer::sgd)
      : model_(model),
        devices_(devices),
        rows_(batch / devices),
        optimizer_(optimizer),
        builder_(devices) {
    builder_.set_global_batch(batch);
  }

  TaskGraph graph() && {
    std::vector<BufferRange> gradients;
    std::vector<std::vector<TaskId>> last;
    for (int device = 0; device < devices_; ++device) {
      device_ = DeviceId{device};
      begin_device();
      for (std::size_t i = 0; i < model_.size(); ++i) forward(LayerId{static_cast<int>(i)});
      for (std::size_t i = model_.size(); i-- > 0;) backward(LayerId{static_cast<int>(i)});
      for (const auto& [buffer, task] : last_use_) builder_.add_free(task, buffer);
      gradients.push_back({gradients_, Bytes{0}, Bytes{4 * model_.parameter_count()}});
      last.push_back({last_});
      weights_of_.push_back(weights_);
    }
    const CollectiveTasks ring =
        expand_collective(builder_,
                 {.group = group(), .bytes = gradients[0].bytes, .after = last, .data = gradients});
    for (int device = 0; device < devices_; ++device) update(device, gradients, ring);
    return std::move(builder_).build();
  }

 private:
  std::vector<DeviceId> group() const {
    std::vector<DeviceId> ids;
    for (int device = 0; device < devices_; ++device) ids.push_back(DeviceId{device});
    return ids;
  }

  BufferRange buffer(std::int64_t numbers, BufferCategory category, bool persistent) {
    const Bytes size{4 * numbers};
    const BufferId id = builder_.add_buffer(
        {.device = device_, .bytes = size, .category = category, .persistent = persistent});
    return {id, Bytes{0}, size};
  }

  void place(Placement::Role role, const BufferRange& range, std::int64_t columns) {
    builder_.add_placement({.role = role,
                            .range = range,
                            .row = static_cast<int>(device_) * rows_,
                            .rows = rows_,
                            .columns = columns});
  }

  void begin_device() {
    const std::int64_t count = model_.parameter_count();
    weights_ = buffer(count, BufferCategory::parameter, true).buffer;
    gradients_ = buffer(count, BufferCategory::gradient, true).buffer;
    values_.assign(model_.size() + 1, {});
    slopes_.assign(model_.size() + 1, {});
    sloped_.assign(model_.size() + 1, false);
    statistics_.assign(model_.size(), {});
    last_use_.clear();
    values_[0] = buffer(rows_ * model_.input_features(), BufferCategory::input, true);
    labels_ = buffer(rows_, BufferCategory::input, true);
    loss_ = buffer(1, BufferCategory::activation, true);
    place(Placement::Role::input, values_[0], model_.input_features());
    place(Placement::Role::label, labels_, 1);
    place(Placement::Role::loss, loss_, 1);
    for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
      const Parameter& p = model_.parameters()[i];
      builder_.add_placement({.role = Placement::Role::parameter,
                              .range = part(weights_, i),
                              .tensor = static_cast<std::int32_t>(i),
                              .rows = p.rows,
                              .columns = p.columns});
    }
  }

  /// Where parameter `i` lies in a flat buffer of all of them.
  BufferRange part(BufferId flat, std::size_t i) const {
    std::int64_t first = 0;
    for (std::size_t k = 0; k < i; ++k) first += size(k);
    return {flat, Bytes{4 * first}, Bytes{4 * size(i)}};
  }
  std::int64_t size(std::size_t i) const {
    return model_.parameters()[i].rows * model_.parameters()[i].columns;
  }
  std::size_t slot(LayerId id) const { return static_cast<std::size_t>(static_cast<int>(id) + 1); }
  const BufferRange& in(LayerId id, std::size_t i = 0) const {
    return values_[slot(model_.inputs(id)[i])];
  }
  BufferRange weight(LayerId id, std::size_t i) const {
    return part(weights_, static_cast<std::size_t>(model_.parameters_of(id)[i]));
  }
  BufferRange gradient(LayerId id, std::size_t i) const {
    return part(gradients_, static_cast<std::size_t>(model_.parameters_of(id)[i]));
  }

  struct Operands {
    std::vector<BufferRange> reads, writes;
  };

  /// Adds a task; buffers that it is the first to touch are allocated by it.
  void add(OpKey key, Operands operands) {
    TaskSpec spec{.device = device_,
                  .op = builder_.add_op({.key = std::move(key), .flops = {}, .traffic = {}}),
                  .reads = operands.reads,
                  .writes = operands.writes};
    for (const BufferRange& range : operands.writes) {
      if (fresh_.erase(range.buffer) > 0) spec.allocates.push_back(range.buffer);
    }
    last_ = builder_.add(std::move(spec));
    for (const auto* ranges : {&operands.reads, &operands.writes}) {
      for (const BufferRange& range : *ranges) {
        if (transient_.contains(range.buffer)) last_use_[range.buffer] = last_;
      }
    }
  }

  BufferRange transient(std::int64_t numbers) {
    const BufferRange range = buffer(numbers, BufferCategory::activation, false);
    fresh_[range.buffer] = true;
    transient_[range.buffer] = true;
    return range;
  }

  void forward(LayerId id) {
    const Layer& layer = model_.layer(id);
    const std::int64_t n = layer.out_features, k = layer.in_features;
    if (layer.kind == LayerKind::softmax_cross_entropy) {
      values_[slot(id)] = transient(rows_ * k);
      return add({.op = "softmax_cross_entropy", .shape = {rows_, k}},
                 {{in(id), labels_}, {values_[slot(id)], loss_}});
    }
    const BufferRange y = values_[slot(id)] = transient(rows_ * n);
    if (layer.kind == LayerKind::linear && layer.bias) {
      add({.op = "linear", .shape = {rows_, k, n}}, {{in(id), weight(id, 0), weight(id, 1)}, {y}});
    } else if (layer.kind == LayerKind::linear) {
      add({.op = "matmul", .shape = {rows_, k, n}}, {{in(id), weight(id, 0)}, {y}});
    } else if (layer.kind == LayerKind::layer_norm) {
      statistics_[slot(id) - 1] = transient(2 * rows_);
      add({.op = "layer_norm", .shape = {rows_, n}},
          {{in(id), weight(id, 0), weight(id, 1)}, {y, statistics_[slot(id) - 1]}});
    } else if (layer.kind == LayerKind::add) {
      add({.op = "add", .shape = {rows_ * n}}, {{in(id, 0), in(id, 1)}, {y}});
    } else {
      add({.op = std::string(name(layer.kind)), .shape = {rows_ * n}}, {{in(id)}, {y}});
    }
  }

  /// The gradient of input `i` of a layer; the second consumer adds to it.
  struct Slope {
    BufferRange range;
    bool accumulate = false;
  };
  Slope slope(LayerId id, std::size_t i = 0) {
    const LayerId input = model_.inputs(id)[i];
    if (slopes_[slot(input)].bytes.count == 0) {
      slopes_[slot(input)] = transient(in(id, i).bytes.count / 4);
    }
    const bool again = sloped_[slot(input)];
    sloped_[slot(input)] = true;
    return {slopes_[slot(input)], again};
  }

  void backward(LayerId id) {
    const Layer& layer = model_.layer(id);
    const std::int64_t n = layer.out_features, k = layer.in_features;
    const BufferRange dy = slopes_[slot(id)];
    if (layer.kind == LayerKind::softmax_cross_entropy) {
      add_slope("softmax_cross_entropy", {rows_, k}, {values_[slot(id)], labels_}, slope(id));
    } else if (layer.kind == LayerKind::linear) {
      const std::string op = layer.bias ? "linear" : "matmul";
      std::vector<BufferRange> writes{gradient(id, 0)};
      if (layer.bias) writes.push_back(gradient(id, 1));
      add({.op = op, .pass = Pass::backward_weight, .shape = {rows_, k, n}},
          {{in(id), dy}, writes});
      if (model_.inputs(id)[0] == kModelInput) return;
      add_slope(op, {rows_, k, n}, {dy, weight(id, 0)}, slope(id));
    } else if (layer.kind == LayerKind::layer_norm) {
      const BufferRange statistics = statistics_[slot(id) - 1];
      add({.op = "layer_norm", .pass = Pass::backward_weight, .shape = {rows_, n}},
          {{in(id), statistics, dy}, {gradient(id, 0), gradient(id, 1)}});
      add_slope("layer_norm", {rows_, n}, {in(id), statistics, weight(id, 0), dy}, slope(id));
    } else if (layer.kind == LayerKind::add) {
      for (std::size_t i = 0; i < 2; ++i) {
        const Slope to = slope(id, i);
        add({.op = "copy", .shape = {rows_ * n}, .accumulate = to.accumulate}, {{dy}, {to.range}});
      }
    } else {
      const BufferRange seen = layer.kind == LayerKind::relu ? values_[slot(id)] : in(id);
      add_slope(std::string(name(layer.kind)), {rows_ * n}, {seen, dy}, slope(id));
    }
  }

  void add_slope(std::string op, std::vector<std::int64_t> shape, std::vector<BufferRange> reads,
                 const Slope& to) {
    add({.op = std::move(op),
         .pass = Pass::backward_input,
         .shape = std::move(shape),
         .accumulate = to.accumulate},
        {std::move(reads), {to.range}});
  }

  void update(int device, const std::vector<BufferRange>& gradients, const CollectiveTasks& ring) {
    device_ = DeviceId{device};
    const auto rank = static_cast<std::size_t>(device);
    const std::int64_t count = model_.parameter_count();
    std::vector<BufferRange> writes{{weights_of_[rank], Bytes{0}, Bytes{4 * count}}};
    for (int i = 0; i < state_tensors(optimizer_); ++i) {
      writes.push_back(buffer(count, BufferCategory::optimizer_state, true));
    }
    const OpKey key{.op = std::string(name(optimizer_)), .pass = Pass::optimizer, .shape = {count}};
    builder_.add({.device = device_,
                  .op = builder_.add_op({.key = key, .flops = {}, .traffic = {}}),
                  .after = ring.done[rank],
                  .reads = {gradients[rank]},
                  .writes = writes});
  }

  const OpGraph& model_;
  int devices_;
  std::int64_t rows_;
  Optimizer optimizer_;
  TaskGraphBuilder builder_;
  DeviceId device_{};
  BufferId weights_{}, gradients_{};
  std::vector<BufferId> weights_of_;
  std::vector<BufferRange> values_, slopes_, statistics_;
  std::vector<bool> sloped_;
  BufferRange labels_, loss_;
  std::map<BufferId, bool> fresh_, transient_;
  std::map<BufferId, TaskId> last_use_;
  TaskId last_{};
};

/// 6 features, 4 classes: linear 8, relu, linear 4.
inline OpGraph small_mlp() {
  return OpGraph("small-mlp", 6,
                 {{.name = "fc1", .kind = LayerKind::linear, .in_features = 6, .out_features = 8},
                  {.name = "relu1", .kind = LayerKind::relu, .in_features = 8, .out_features = 8},
                  {.name = "fc2", .kind = LayerKind::linear, .in_features = 8, .out_features = 4},
                  {.name = "loss",
                   .kind = LayerKind::softmax_cross_entropy,
                   .in_features = 4,
                   .out_features = 1}},
                 {{kModelInput}, {LayerId{0}}, {LayerId{1}}, {LayerId{2}}});
}

/// Every kind of layer, a product without bias and a branch that meets again:
/// fc1 -> norm -> gelu -> fc2 (no bias) -> add(fc1, fc2) -> relu -> fc3 -> loss.
inline OpGraph every_kind() {
  const auto wide = [](std::string name, LayerKind kind) {
    return Layer{.name = std::move(name), .kind = kind, .in_features = 7, .out_features = 7};
  };
  Layer fc1 = wide("fc1", LayerKind::linear);
  fc1.in_features = 5;
  Layer fc2 = wide("fc2", LayerKind::linear);
  fc2.bias = false;
  Layer fc3 = wide("fc3", LayerKind::linear);
  fc3.out_features = 3;
  Layer loss = wide("loss", LayerKind::softmax_cross_entropy);
  loss.in_features = 3;
  loss.out_features = 1;
  return OpGraph("every-kind", 5,
                 {fc1, wide("norm", LayerKind::layer_norm), wide("gelu", LayerKind::gelu), fc2,
                  wide("add", LayerKind::add), wide("relu", LayerKind::relu), fc3, loss},
                 {{kModelInput},
                  {LayerId{0}},
                  {LayerId{1}},
                  {LayerId{2}},
                  {LayerId{0}, LayerId{3}},
                  {LayerId{4}},
                  {LayerId{5}},
                  {LayerId{6}}});
}

}  // namespace foreplan
