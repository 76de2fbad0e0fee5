#include "runtime/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "runtime/inference.hpp"
#include "runtime/initialisation.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

std::vector<TensorMap> state_maps(const OpGraph& model, const TaskGraph& graph,
                                  Optimizer optimizer) {
  std::vector<TensorMap> maps;
  for (int slot = 0; slot < state_tensors(optimizer); ++slot) {
    maps.push_back(state_map(model, graph, optimizer, slot));
  }
  return maps;
}

/// Checks that a placement holds rows of the batch, `width` numbers of `columns` each.
void check_rows(const TaskGraph& graph, const Placement& placement, std::int64_t numbers) {
  const bool inside = placement.row >= 0 && placement.rows >= 1 &&
                      placement.row + placement.rows <= graph.global_batch;
  if (inside && placement.range.bytes.count == numbers * 4) return;
  reject(fmt::format("{}: a placement of samples {} to {} of {} in {} bytes",
                     described(graph, placement.range.buffer), placement.row,
                     placement.row + placement.rows, graph.global_batch,
                     placement.range.bytes.count));
}

/// Keeps one placement of each range of rows and checks that they cover the batch once.
std::vector<Placement> distinct_rows(const TaskGraph& graph, std::vector<Placement> placements) {
  const auto rows = [](const Placement& p) { return std::pair(p.row, p.rows); };
  std::stable_sort(placements.begin(), placements.end(),
                   [&](const Placement& a, const Placement& b) { return rows(a) < rows(b); });
  const auto end =
      std::unique(placements.begin(), placements.end(),
                  [&](const Placement& a, const Placement& b) { return rows(a) == rows(b); });
  placements.erase(end, placements.end());
  std::int64_t next = 0;
  for (const Placement& placement : placements) {
    if (placement.row != next) {
      reject(fmt::format("the losses do not cover the batch once: sample {} of {}",
                         std::min(next, placement.row), graph.global_batch));
    }
    next += placement.rows;
  }
  if (next == graph.global_batch) return placements;
  reject(fmt::format("the losses cover {} samples of a batch of {}", next, graph.global_batch));
}

/// Checks that every sample of the batch lies somewhere.
void check_whole(const std::vector<Placement>& placements, std::int64_t batch, const char* what) {
  std::vector<bool> held(static_cast<std::size_t>(batch));
  for (const Placement& placement : placements) {
    std::fill_n(held.begin() + placement.row, placement.rows, true);
  }
  const auto missing = std::find(held.begin(), held.end(), false);
  if (missing == held.end()) return;
  reject(fmt::format("the graph has no place for the {} of sample {} of {}", what,
                     missing - held.begin(), batch));
}

void check_shapes(const Tensors& tensors, const Tensors& expected, const std::string& what) {
  bool same = tensors.size() == expected.size();
  for (std::size_t i = 0; same && i < tensors.size(); ++i) {
    same = tensors[i].size() == expected[i].size();
  }
  if (!same) reject(what + " have other shapes than the model");
}

}  // namespace

Trainer::Trainer(const OpGraph& model, const TaskGraph& graph, Backend& backend,
                 const TrainerOptions& options)
    : model_(&model),
      options_(options),
      executor_(graph, backend),
      weights_(weight_map(model, graph)),
      optimizer_state_(state_maps(model, graph, options.optimizer)) {
  find_placements();
  weights_.scatter(initial_weights(model, options.seed), executor_);
}

void Trainer::find_placements() {
  const TaskGraph& graph = executor_.graph();
  if (graph.global_batch < 1) reject("the graph trains on no samples");
  std::vector<Placement> losses;
  for (const Placement& placement : graph.placements) {
    if (placement.role == Placement::Role::input) {
      check_rows(graph, placement, placement.rows * placement.columns);
      if (placement.column < 0 || placement.column + placement.columns > model_->input_features()) {
        reject("a placement of samples lies outside their features");
      }
      inputs_.push_back(placement);
    } else if (placement.role == Placement::Role::label) {
      check_rows(graph, placement, placement.rows);
      labels_.push_back(placement);
    } else if (placement.role == Placement::Role::loss) {
      check_rows(graph, placement, 1);
      losses.push_back(placement);
    }
  }
  check_whole(inputs_, graph.global_batch, "features");
  check_whole(labels_, graph.global_batch, "label");
  losses_ = distinct_rows(graph, std::move(losses));
}

void Trainer::load_batch(const Dataset& data, std::int64_t first) {
  check_fits(data, *model_);
  if (first < 0) reject(fmt::format("expected a first sample >= 0, got {}", first));
  std::vector<float> samples;
  for (const Placement& placement : inputs_) {
    samples.clear();
    for (std::int64_t i = 0; i < placement.rows; ++i) {
      const auto sample = data.sample((first + placement.row + i) % data.size());
      const auto part = sample.subspan(static_cast<std::size_t>(placement.column),
                                       static_cast<std::size_t>(placement.columns));
      samples.insert(samples.end(), part.begin(), part.end());
    }
    executor_.write(placement.range, std::as_bytes(std::span(samples)));
  }
  std::vector<std::int32_t> labels;
  for (const Placement& placement : labels_) {
    labels.clear();
    for (std::int64_t i = 0; i < placement.rows; ++i) {
      const std::int64_t row = (first + placement.row + i) % data.size();
      labels.push_back(data.labels[static_cast<std::size_t>(row)]);
    }
    executor_.write(placement.range, std::as_bytes(std::span(labels)));
  }
}

StepResult Trainer::step() {
  StepContext context;
  context.step = step_ + 1;
  context.global_batch = executor_.graph().global_batch;
  context.learning_rate = options_.learning_rate;
  context.momentum = options_.momentum;
  context.beta1 = options_.beta1;
  context.beta2 = options_.beta2;
  context.epsilon = options_.epsilon;
  MeasuredStep measured = executor_.step(context);
  ++step_;
  return {step_, loss(), std::move(measured)};
}

double Trainer::loss() const {
  double total = 0;
  for (const Placement& placement : losses_) {
    float part = 0;
    executor_.read(placement.range, std::as_writable_bytes(std::span(&part, 1)));
    total += static_cast<double>(part);
  }
  return total;
}

double Trainer::accuracy(const Dataset& data) const {
  return foreplan::accuracy(*model_, weights(), data);
}

TrainingState Trainer::state() const {
  TrainingState state{.step = step_, .weights = weights()};
  for (const TensorMap& map : optimizer_state_) {
    state.optimizer_state.push_back(map.gather(executor_).tensors);
  }
  return state;
}

void Trainer::restore(const TrainingState& state) {
  if (state.step < 0) reject(fmt::format("expected a step >= 0, got {}", state.step));
  const Tensors expected = zero_tensors(*model_);
  check_shapes(state.weights, expected, "the weights");
  if (state.optimizer_state.size() != optimizer_state_.size()) {
    reject(fmt::format("{} keeps {} numbers a weight, the state has {}", name(options_.optimizer),
                       optimizer_state_.size(), state.optimizer_state.size()));
  }
  for (const Tensors& tensors : state.optimizer_state) {
    check_shapes(tensors, expected, "the optimizer's states");
  }
  weights_.scatter(state.weights, executor_);
  for (std::size_t i = 0; i < optimizer_state_.size(); ++i) {
    optimizer_state_[i].scatter(state.optimizer_state[i], executor_);
  }
  step_ = state.step;
}

}  // namespace foreplan
