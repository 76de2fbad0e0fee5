#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"
#include "runtime/dataset.hpp"
#include "runtime/executor.hpp"
#include "runtime/tensor_map.hpp"
#include "runtime/training_options.hpp"

namespace foreplan {

/// One training step, done.
struct StepResult {
  std::int64_t step = 0;  ///< counts from 1
  double loss = 0;        ///< the mean over the global batch, before the update
  MeasuredStep measured;
};

/// Trains a model by running a task graph again and again.
///
///   Trainer trainer(model, graph, backend, {.learning_rate = 0.05});
///   trainer.load_batch(data.train, 0);
///   double loss = trainer.step().loss;
///
/// It finds weights, samples, labels and losses by the graph's placements, so it knows nothing of
/// strategies. Model, graph and backend must outlive it.
class Trainer {
 public:
  /// Records the graph and sets the initial weights.
  /// @throws Error(invalid_argument) as Executor; or if placements do not hold the whole model and
  ///   the whole batch, or the graph's optimizer is not that of `options`
  Trainer(const OpGraph& model, const TaskGraph& graph, Backend& backend,
          const TrainerOptions& options);

  /// Puts samples [first, first + global_batch) where the graph wants them; the data is a ring.
  /// @throws Error(invalid_argument) if the data does not fit the model
  void load_batch(const Dataset& data, std::int64_t first);

  /// Runs one step on the batch that is loaded.
  /// @throws Error(failed) if the backend fails
  StepResult step();
  std::int64_t steps_done() const { return step_; }

  /// The weights, whole; of replicas the first counts.
  Tensors weights() const { return weights_.gather(executor_).tensors; }
  /// The largest difference between two copies of one weight; 0 as long as replicas agree.
  double replica_divergence() const { return weights_.gather(executor_).divergence; }
  /// The share of `data` that the current weights classify rightly.
  double accuracy(const Dataset& data) const;

  /// All that is needed to go on elsewhere, and going on from it.
  TrainingState state() const;
  /// @throws Error(invalid_argument) if the shapes are not those of the model and the optimizer
  void restore(const TrainingState& state);

  const OpGraph& model() const { return *model_; }
  const TaskGraph& graph() const { return executor_.graph(); }
  const TrainerOptions& options() const { return options_; }
  const ArenaPlan& arenas() const { return executor_.arenas(); }

 private:
  void find_placements();
  double loss() const;

  const OpGraph* model_;
  TrainerOptions options_;
  Executor executor_;
  TensorMap weights_;
  std::vector<TensorMap> optimizer_state_;
  std::vector<Placement> inputs_, labels_;
  std::vector<Placement> losses_;  ///< one for each range of rows
  std::int64_t step_ = 0;
};

}  // namespace foreplan
