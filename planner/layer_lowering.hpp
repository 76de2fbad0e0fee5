#pragma once

#include <utility>
#include <vector>

#include "planner/emitter.hpp"
#include "planner/lowering.hpp"
#include "planner/rank_layout.hpp"

namespace foreplan {

/// What one device keeps through the step.
struct DeviceState {
  ParameterLayout layout;
  std::vector<Value> parameters, gradients;     ///< by bucket
  std::vector<std::vector<Value>> moments;      ///< by bucket: what the optimizer remembers
  std::vector<std::vector<TaskId>> last_write;  ///< by bucket: who finished its gradients
  Value samples, labels, losses;
};

/// A task that computes the gradients of `tensors`, adding to those of earlier micro-batches.
struct WeightTask {
  EmitContext context;
  OpKey key;
  std::vector<Value> reads;
  std::vector<std::int32_t> tensors;
};

/// One micro-batch on one virtual stage of one data-parallel rank. Every Value list has an entry for each
/// tensor-parallel rank.
struct Cell {
  using PerRank = std::vector<Value>;
  int dp_rank = 0;
  int virtual_stage = 0;
  int stage = 0;  ///< that it lies on
  int micro_batch = 0;
  std::vector<PerRank> outputs;  ///< [0]: the stage's input; [i + 1]: of its i-th layer
  std::vector<PerRank> saved;    ///< by layer: statistics or probabilities for backward
  std::vector<std::vector<PerRank>> gradients;  ///< as outputs: contributions, to be added up
  bool split_backward = false;                  ///< weights' gradients wait for backward_weights()
  std::vector<WeightTask> waiting{};            ///< those that do
};

/// Writes the tasks of one layer for one Cell, all tensor-parallel ranks together.
class LayerLowering {
 public:
  struct Setting {
    const OpGraph& model;
    const Strategy& strategy;
    const LoweringOptions& options;
    std::int64_t micro_batch_samples = 0;
    std::vector<Sharding> shardings;
    /// Of each virtual stage; the loss in the last.
    std::vector<LayerRange> layers;
  };

  LayerLowering(const Setting& setting, Emitter& emitter, std::vector<DeviceState>& devices)
      : setting_(setting), ranks_(setting.strategy), emitter_(emitter), devices_(devices) {}

  void forward(Cell& cell, int layer);
  /// Adds to the gradients of the layer's inputs and of its parameters; of these later where the cell's
  /// backward is split.
  void backward(Cell& cell, int layer);
  /// Writes the tasks that backward() left waiting.
  void backward_weights(Cell& cell);
  /// The gradient of `outputs[slot]`: the sum of its contributions.
  Cell::PerRank gradient(Cell& cell, std::size_t slot, int layer);

  DeviceId device(int dp_rank, int stage, int t) const;
  std::size_t slot_of(const Cell& cell, LayerId layer) const;

 private:
  DeviceId device(const Cell& cell, int t) const { return device(cell.dp_rank, cell.stage, t); }
  void forward_linear(Cell& cell, int layer);
  void forward_element_wise(Cell& cell, int layer);
  void forward_add(Cell& cell, int layer);
  void forward_layer_norm(Cell& cell, int layer);
  void forward_loss(Cell& cell, int layer);
  void reduce_rows(Cell& cell, int layer, Cell::PerRank& partial);
  Cell::PerRank gather_columns(Cell& cell, int layer, Cell::PerRank& packed);

  void backward_linear(Cell& cell, int layer, const Cell::PerRank& dy);
  void backward_linear_weight(Cell& cell, int layer, const Cell::PerRank& dy);
  void backward_element_wise(Cell& cell, int layer, const Cell::PerRank& dy);
  void backward_layer_norm(Cell& cell, int layer, const Cell::PerRank& dy);
  void backward_loss(Cell& cell, int layer);
  Cell::PerRank slice_columns(Cell& cell, int layer, const Cell::PerRank& dy);

  int tp() const { return setting_.strategy.tp; }
  std::int64_t rows() const { return setting_.micro_batch_samples; }
  std::vector<std::int64_t> product_shape(int layer) const;
  std::int64_t columns(int layer) const;
  const Layer& layer_at(int layer) const { return setting_.model.layer(LayerId{layer}); }
  Sharding sharding(int layer) const { return setting_.shardings[static_cast<std::size_t>(layer)]; }
  const Cell::PerRank& input(const Cell& cell, int layer, std::size_t operand = 0) const;
  bool needs_input_gradient(int layer, std::size_t operand = 0) const;
  void contribute(Cell& cell, int layer, std::size_t operand, Cell::PerRank gradient);
  EmitContext context(const Cell& cell, int layer, int t) const;
  Value fp32(const Cell& cell, int t, std::int64_t count, BufferCategory category);
  Value parameter(const Cell& cell, int t, std::int32_t tensor) const;
  /// Where a parameter's gradient goes.
  Value gradient_of(DeviceId device, std::int32_t tensor) const;
  void add_weight_task(Cell& cell, WeightTask task);
  void write(WeightTask task);
  std::vector<std::vector<TaskId>> collective(CollectiveKind kind, const Cell& cell, int layer,
                                              Cell::PerRank& values);

  const Setting& setting_;
  const RankLayout ranks_;
  Emitter& emitter_;
  std::vector<DeviceState>& devices_;
};

/// `value`'s bytes [offset, offset + bytes).
Value part(const Value& value, Bytes offset, Bytes bytes);

}  // namespace foreplan
