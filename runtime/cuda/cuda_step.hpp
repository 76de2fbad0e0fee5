#pragma once

#include "runtime/backend.hpp"

namespace foreplan {

/// A StepContext as kernels read it, in device memory: what would be the same for every thread is
/// computed once.
struct CudaStep {
  float inverse_batch = 1;
  float rate = 0, momentum = 0;               ///< sgd
  float beta1 = 0, beta2 = 0;                 ///< adam ...
  float rest1 = 0, rest2 = 0;                 ///< 1 - beta
  float unbiased_rate = 0, unbias2 = 0;       ///< rate / (1 - beta1^t), 1 / (1 - beta2^t)
  float epsilon = 0;
};

CudaStep cuda_step(const StepContext& context);

}  // namespace foreplan
