#include <cmath>

#include "runtime/host_loops.hpp"
#include "runtime/vector_math.hpp"

namespace foreplan {

// v = momentum v + g; w -= rate v. Source: Sutskever et al., ICML 2013, as frameworks write it.
FOREPLAN_VECTOR_VARIANTS
void sgd_step(const LoopOperands& o, const StepContext& context) {
  const float* gradient = o.in(0);
  float* weight = o.out(0);
  float* velocity = o.out(1);
  const float momentum = static_cast<float>(context.momentum);
  const float rate = static_cast<float>(context.learning_rate);
  FOREPLAN_INDEPENDENT
  for (std::int64_t i = 0; i < o.shape[0]; ++i) {
    velocity[i] = momentum * velocity[i] + gradient[i];
    weight[i] -= rate * velocity[i];
  }
}

// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= rate m' / (sqrt(v') + epsilon) with
// m' = m / (1 - b1^t), v' = v / (1 - b2^t). Source: Kingma and Ba, ICLR 2015, algorithm 1.
FOREPLAN_VECTOR_VARIANTS void adam_step(const LoopOperands& o, const StepContext& context) {
  const float* gradient = o.in(0);
  float* weight = o.out(0);
  float* first = o.out(1);
  float* second = o.out(2);
  const double step = static_cast<double>(context.step);
  const float b1 = static_cast<float>(context.beta1);
  const float b2 = static_cast<float>(context.beta2);
  const float c1 = static_cast<float>(1.0 - context.beta1);
  const float c2 = static_cast<float>(1.0 - context.beta2);
  const float rate =
      static_cast<float>(context.learning_rate / (1.0 - std::pow(context.beta1, step)));
  const float unbias = static_cast<float>(1.0 / (1.0 - std::pow(context.beta2, step)));
  const float epsilon = static_cast<float>(context.epsilon);
  FOREPLAN_INDEPENDENT
  for (std::int64_t i = 0; i < o.shape[0]; ++i) {
    const float g = gradient[i];
    first[i] = b1 * first[i] + c1 * g;
    second[i] = b2 * second[i] + c2 * g * g;
    weight[i] -= rate * first[i] / (vector_sqrt(second[i] * unbias) + epsilon);
  }
}

}  // namespace foreplan
