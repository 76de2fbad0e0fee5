#include "runtime/reference.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/initialisation.hpp"

namespace foreplan {
namespace {

using Values = std::vector<double>;

/// One pass: the values and gradients of every layer, filled in as it goes.
class Pass64 {
 public:
  Pass64(const OpGraph& model, const ReferenceTensors& weights, const ReferenceBatch& batch)
      : model_(model),
        weights_(weights),
        labels_(batch.labels),
        rows_(batch.labels.size()),
        values_(model.size() + 1),
        slopes_(model.size() + 1) {
    require_executable(model);
    values_[0].assign(batch.samples.begin(), batch.samples.end());
    for (const Values& weight : weights) result_.gradients.emplace_back(weight.size());
  }

  ReferencePass run() && {
    for (std::size_t i = 0; i < model_.size(); ++i) forward(LayerId{static_cast<std::int32_t>(i)});
    for (std::size_t i = 0; i < values_.size(); ++i) slopes_[i].assign(values_[i].size(), 0.0);
    for (std::size_t i = model_.size(); i-- > 0;) backward(LayerId{static_cast<std::int32_t>(i)});
    return std::move(result_);
  }

 private:
  static std::size_t slot(LayerId id) { return static_cast<std::size_t>(static_cast<int>(id) + 1); }
  const Values& in(LayerId id, std::size_t i = 0) { return values_[slot(model_.inputs(id)[i])]; }
  Values& in_slope(LayerId id, std::size_t i = 0) { return slopes_[slot(model_.inputs(id)[i])]; }
  std::size_t parameter(LayerId id, std::size_t i) const {
    return static_cast<std::size_t>(model_.parameters_of(id)[i]);
  }
  std::size_t width(LayerId id) const {
    return static_cast<std::size_t>(model_.layer(id).out_features);
  }

  void forward(LayerId id) {
    values_[slot(id)].assign(rows_ * width(id), 0.0);
    switch (model_.layer(id).kind) {
      case LayerKind::linear:
        return linear(id);
      case LayerKind::relu:
      case LayerKind::gelu:
        return activation(id);
      case LayerKind::layer_norm:
        return layer_norm(id);
      case LayerKind::add:
        return add(id);
      case LayerKind::softmax_cross_entropy:
        return loss(id);
      default:
        return;  // the constructor has refused it
    }
  }

  void backward(LayerId id) {
    switch (model_.layer(id).kind) {
      case LayerKind::linear:
        return linear_slope(id);
      case LayerKind::relu:
      case LayerKind::gelu:
        return activation_slope(id);
      case LayerKind::layer_norm:
        return layer_norm_slope(id);
      case LayerKind::add:
        return add_slope(id);
      case LayerKind::softmax_cross_entropy:
        return loss_slope(id);
      default:
        return;
    }
  }

  void linear(LayerId id) {
    const std::size_t n = width(id), k = in(id).size() / rows_;
    const Values& w = weights_[parameter(id, 0)];
    Values& y = values_[slot(id)];
    for (std::size_t row = 0; row < rows_; ++row) {
      for (std::size_t j = 0; j < n; ++j) {
        double total = model_.layer(id).bias ? weights_[parameter(id, 1)][j] : 0.0;
        for (std::size_t i = 0; i < k; ++i) total += in(id)[row * k + i] * w[i * n + j];
        y[row * n + j] = total;
      }
    }
  }

  void linear_slope(LayerId id) {
    const std::size_t n = width(id), k = in(id).size() / rows_;
    const Values& w = weights_[parameter(id, 0)];
    Values& dw = result_.gradients[parameter(id, 0)];
    for (std::size_t row = 0; row < rows_; ++row) {
      for (std::size_t j = 0; j < n; ++j) {
        const double dy = slopes_[slot(id)][row * n + j];
        for (std::size_t i = 0; i < k; ++i) {
          dw[i * n + j] += in(id)[row * k + i] * dy;
          in_slope(id)[row * k + i] += dy * w[i * n + j];
        }
        if (model_.layer(id).bias) result_.gradients[parameter(id, 1)][j] += dy;
      }
    }
  }

  static double normal_below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

  void activation(LayerId id) {
    const bool relu = model_.layer(id).kind == LayerKind::relu;
    for (std::size_t i = 0; i < in(id).size(); ++i) {
      const double x = in(id)[i];
      values_[slot(id)][i] = relu ? std::max(x, 0.0) : x * normal_below(x);
    }
  }

  void activation_slope(LayerId id) {
    const bool relu = model_.layer(id).kind == LayerKind::relu;
    for (std::size_t i = 0; i < in(id).size(); ++i) {
      const double x = in(id)[i];
      const double density = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846);
      const double slope = relu ? (x > 0 ? 1.0 : 0.0) : normal_below(x) + x * density;
      in_slope(id)[i] += slope * slopes_[slot(id)][i];
    }
  }

  void add(LayerId id) {
    for (std::size_t i = 0; i < in(id).size(); ++i)
      values_[slot(id)][i] = in(id, 0)[i] + in(id, 1)[i];
  }

  void add_slope(LayerId id) {
    for (std::size_t i = 0; i < in(id).size(); ++i) {
      in_slope(id, 0)[i] += slopes_[slot(id)][i];
      in_slope(id, 1)[i] += slopes_[slot(id)][i];
    }
  }

  /// Mean and reciprocal deviation of one row.
  struct Moments {
    double mean = 0, scale = 0;
  };
  Moments moments(const double* x, std::size_t n) const {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      variance += (x[i] - mean) * (x[i] - mean) / static_cast<double>(n);
    }
    return {mean, 1.0 / std::sqrt(variance + 1e-5)};
  }

  void layer_norm(LayerId id) {
    const std::size_t n = width(id);
    const Values& gain = weights_[parameter(id, 0)];
    const Values& shift = weights_[parameter(id, 1)];
    for (std::size_t row = 0; row < rows_; ++row) {
      const double* x = in(id).data() + row * n;
      const Moments m = moments(x, n);
      for (std::size_t i = 0; i < n; ++i) {
        values_[slot(id)][row * n + i] = (x[i] - m.mean) * m.scale * gain[i] + shift[i];
      }
    }
  }

  // The Jacobian written out: d xhat_i / d x_j = scale (delta_ij - 1/n - xhat_i xhat_j / n).
  void layer_norm_slope(LayerId id) {
    const std::size_t n = width(id);
    const Values& gain = weights_[parameter(id, 0)];
    for (std::size_t row = 0; row < rows_; ++row) {
      const double* x = in(id).data() + row * n;
      const double* dy = slopes_[slot(id)].data() + row * n;
      const Moments m = moments(x, n);
      for (std::size_t i = 0; i < n; ++i) {
        const double normed = (x[i] - m.mean) * m.scale;
        result_.gradients[parameter(id, 0)][i] += dy[i] * normed;
        result_.gradients[parameter(id, 1)][i] += dy[i];
        for (std::size_t j = 0; j < n; ++j) {
          const double other = (x[j] - m.mean) * m.scale;
          const double share = (1.0 + normed * other) / static_cast<double>(n);
          in_slope(id)[row * n + j] += dy[i] * gain[i] * m.scale * ((i == j ? 1.0 : 0.0) - share);
        }
      }
    }
  }

  void loss(LayerId id) {
    result_.scores = in(id);
    const std::size_t n = in(id).size() / rows_;
    for (std::size_t row = 0; row < rows_; ++row) {
      const double at_label = in(id)[row * n + static_cast<std::size_t>(labels_[row])];
      result_.loss += (log_sum(in(id).data() + row * n, n) - at_label) / static_cast<double>(rows_);
    }
  }

  void loss_slope(LayerId id) {
    const std::size_t n = in(id).size() / rows_;
    for (std::size_t i = 0; i < in(id).size(); ++i) {
      const std::size_t row = i / n;
      const double p = std::exp(in(id)[i] - log_sum(in(id).data() + row * n, n));
      const bool here = i % n == static_cast<std::size_t>(labels_[row]);
      in_slope(id)[i] += (p - (here ? 1.0 : 0.0)) / static_cast<double>(rows_);
    }
  }

  static double log_sum(const double* x, std::size_t n) {
    const double most = *std::max_element(x, x + n);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) total += std::exp(x[i] - most);
    return most + std::log(total);
  }

  const OpGraph& model_;
  const ReferenceTensors& weights_;
  std::span<const std::int32_t> labels_;
  std::size_t rows_;
  std::vector<Values> values_;  ///< of the samples, then by layer
  std::vector<Values> slopes_;  ///< of the loss by each of them
  ReferencePass result_;
};

ReferenceTensors widened(const Tensors& tensors) {
  ReferenceTensors result;
  for (const std::vector<float>& tensor : tensors)
    result.emplace_back(tensor.begin(), tensor.end());
  return result;
}

struct Element {
  double& weight;
  double& first;
  double& second;  ///< adam only
  double gradient;
};

void update(const TrainerOptions& options, std::int64_t step, Element e) {
  if (options.optimizer == Optimizer::sgd) {
    e.first = options.momentum * e.first + e.gradient;
    e.weight -= options.learning_rate * e.first;
    return;
  }
  e.first = options.beta1 * e.first + (1 - options.beta1) * e.gradient;
  e.second = options.beta2 * e.second + (1 - options.beta2) * e.gradient * e.gradient;
  const double t = static_cast<double>(step);
  const double first = e.first / (1 - std::pow(options.beta1, t));
  const double second = e.second / (1 - std::pow(options.beta2, t));
  e.weight -= options.learning_rate * first / (std::sqrt(second) + options.epsilon);
}

}  // namespace

ReferencePass reference_pass(const OpGraph& model, const ReferenceTensors& weights,
                             const ReferenceBatch& batch) {
  return Pass64(model, weights, batch).run();
}

ReferenceState reference_start(const OpGraph& model, const TrainerOptions& options) {
  ReferenceState state;
  state.weights = widened(initial_weights(model, options.seed));
  for (int i = 0; i < state_tensors(options.optimizer); ++i) {
    state.optimizer_state.push_back(widened(zero_tensors(model)));
  }
  return state;
}

double reference_step(const OpGraph& model, const TrainerOptions& options,
                      const ReferenceBatch& batch, ReferenceState& state) {
  const ReferencePass pass = reference_pass(model, state.weights, batch);
  ++state.step;
  for (std::size_t t = 0; t < state.weights.size(); ++t) {
    for (std::size_t i = 0; i < state.weights[t].size(); ++i) {
      update(options, state.step,
             {.weight = state.weights[t][i],
              .first = state.optimizer_state.front()[t][i],
              .second = state.optimizer_state.back()[t][i],
              .gradient = pass.gradients[t][i]});
    }
  }
  return pass.loss;
}

}  // namespace foreplan
