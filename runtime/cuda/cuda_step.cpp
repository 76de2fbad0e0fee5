#include "runtime/cuda/cuda_step.hpp"

#include <cmath>

namespace foreplan {

CudaStep cuda_step(const StepContext& context) {
  const double step = static_cast<double>(context.step);
  const auto rounded = [](double value) { return static_cast<float>(value); };
  return {
      .inverse_batch = rounded(1.0 / static_cast<double>(context.global_batch)),
      .rate = rounded(context.learning_rate),
      .momentum = rounded(context.momentum),
      .beta1 = rounded(context.beta1),
      .beta2 = rounded(context.beta2),
      .rest1 = rounded(1.0 - context.beta1),
      .rest2 = rounded(1.0 - context.beta2),
      .unbiased_rate = rounded(context.learning_rate / (1.0 - std::pow(context.beta1, step))),
      .unbias2 = rounded(1.0 / (1.0 - std::pow(context.beta2, step))),
      .epsilon = rounded(context.epsilon),
  };
}

}  // namespace foreplan
