#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "runtime/backend.hpp"

namespace foreplan {

/// What a loop works on: operands and shape as the table in models/op_cost.hpp orders them.
struct LoopOperands {
  std::array<const std::byte*, 4> reads{};
  std::array<std::byte*, 3> writes{};
  std::array<std::int64_t, 3> shape{};
  bool accumulate = false;

  const float* in(std::size_t i) const { return reinterpret_cast<const float*>(reads[i]); }
  const std::int32_t* labels(std::size_t i) const {
    return reinterpret_cast<const std::int32_t*>(reads[i]);
  }
  float* out(std::size_t i) const { return reinterpret_cast<float*>(writes[i]); }
};

using Loop = void (*)(const LoopOperands&, const StepContext&);

// One function an op and pass; host_kernels.cpp lists them by name.
void bias_add_forward(const LoopOperands& o, const StepContext& context);
void bias_add_backward_weight(const LoopOperands& o, const StepContext& context);
void relu_forward(const LoopOperands& o, const StepContext& context);
void relu_backward(const LoopOperands& o, const StepContext& context);
void gelu_forward(const LoopOperands& o, const StepContext& context);
void gelu_backward(const LoopOperands& o, const StepContext& context);
void layer_norm_forward(const LoopOperands& o, const StepContext& context);
void layer_norm_backward_input(const LoopOperands& o, const StepContext& context);
void layer_norm_backward_weight(const LoopOperands& o, const StepContext& context);
void rms_norm_forward(const LoopOperands& o, const StepContext& context);
void rms_norm_backward_input(const LoopOperands& o, const StepContext& context);
void rms_norm_backward_weight(const LoopOperands& o, const StepContext& context);
void softmax_forward(const LoopOperands& o, const StepContext& context);
void softmax_backward(const LoopOperands& o, const StepContext& context);
void embedding_forward(const LoopOperands& o, const StepContext& context);
void embedding_backward_weight(const LoopOperands& o, const StepContext& context);
void add_forward(const LoopOperands& o, const StepContext& context);
void accumulate_forward(const LoopOperands& o, const StepContext& context);
void copy_forward(const LoopOperands& o, const StepContext& context);
void gather_columns_forward(const LoopOperands& o, const StepContext& context);
void gather_columns_backward(const LoopOperands& o, const StepContext& context);
void softmax_cross_entropy_forward(const LoopOperands& o, const StepContext& context);
void softmax_cross_entropy_backward(const LoopOperands& o, const StepContext& context);
void sgd_step(const LoopOperands& o, const StepContext& context);
void adam_step(const LoopOperands& o, const StepContext& context);

/// The label of a row, int32 at read `operand`, of `count`.
/// @throws Error(failed) if it is not in 0..count - 1
std::int32_t checked_label(const LoopOperands& o, std::size_t operand, std::int64_t row,
                           std::int64_t count);

/// y[column] (+)= the sum of x [rows, columns] over its rows, in fp64.
void sum_rows(const float* x, float* y, std::array<std::int64_t, 2> shape, bool accumulate);

}  // namespace foreplan
