#pragma once

#include <cstdint>
#include <vector>

#include "models/optimizer.hpp"

namespace foreplan {

/// How to train.
struct TrainerOptions {
  Optimizer optimizer = Optimizer::sgd;
  double learning_rate = 0.05;
  double momentum = 0.9;                              ///< sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< adam
  std::uint64_t seed = 1;                             ///< of the initial weights
};

/// The tensors of a model, by index of OpGraph::parameters(), each row by row.
using Tensors = std::vector<std::vector<float>>;

/// All that a training run has learnt so far, whole, whatever the strategy that it ran under.
struct TrainingState {
  std::int64_t step = 0;  ///< steps done
  Tensors weights{};
  /// What the optimizer keeps, state_tensors() of them: sgd: momentum; adam: both moments.
  std::vector<Tensors> optimizer_state{};
};

}  // namespace foreplan
