#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/op_graph.hpp"
#include "runtime/training_options.hpp"

namespace foreplan {

/// Training by the plainest loops there are, in fp64, on one thread: what everything faster is held
/// against. Shares no code with the kernels.
using ReferenceTensors = std::vector<std::vector<double>>;

struct ReferenceBatch {
  std::span<const float> samples;  ///< [labels.size(), input_features]
  std::span<const std::int32_t> labels;
};

/// What one pass forward and backward gives.
struct ReferencePass {
  double loss = 0;             ///< the mean over the batch
  std::vector<double> scores;  ///< [rows, classes], the input of the softmax
  ReferenceTensors gradients;  ///< of the loss, by OpGraph::parameters()
};

/// Forward and backward through any OpGraph.
ReferencePass reference_pass(const OpGraph& model, const ReferenceTensors& weights,
                             const ReferenceBatch& batch);

/// Weights and the state of the optimizer, in fp64.
struct ReferenceState {
  std::int64_t step = 0;
  ReferenceTensors weights;
  std::vector<ReferenceTensors> optimizer_state;  ///< sgd: momentum; adam: both moments
};

/// Starts from the weights that a Trainer starts from.
ReferenceState reference_start(const OpGraph& model, const TrainerOptions& options);

/// One step of training; returns the loss before the update.
double reference_step(const OpGraph& model, const TrainerOptions& options,
                      const ReferenceBatch& batch, ReferenceState& state);

}  // namespace foreplan
