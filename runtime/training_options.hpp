#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace foreplan {

enum class Optimizer : std::uint8_t { sgd, adam };

/// As the op of the update is called: "sgd", "adam".
constexpr std::string_view name(Optimizer optimizer) {
  return optimizer == Optimizer::sgd ? "sgd" : "adam";
}

/// How many numbers an optimizer keeps for each parameter.
constexpr int state_tensors(Optimizer optimizer) { return optimizer == Optimizer::sgd ? 1 : 2; }

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
