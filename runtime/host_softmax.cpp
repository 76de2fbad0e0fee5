#include <fmt/format.h>

#include <cmath>

#include "runtime/host_loops.hpp"
#include "runtime/vector_math.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

// Sixteen side by side, as in `sum`.
inline float largest(const float* x, std::int64_t n) {
  std::array<float, 16> lanes{};
  lanes.fill(x[0]);
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const float value = x[i + static_cast<std::int64_t>(lane)];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
    }
  }
  float most = x[0];
  for (const float lane : lanes) most = lane > most ? lane : most;
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

}  // namespace

std::int32_t checked_label(const LoopOperands& o, std::size_t operand, std::int64_t row,
                           std::int64_t count) {
  const std::int32_t label = o.labels(operand)[row];
  if (label < 0 || label >= count) {
    throw Error(ErrorCode::failed,
                fmt::format("sample {}: expected a label in 0..{}, got {}", row, count - 1, label));
  }
  return label;
}

FOREPLAN_VECTOR_VARIANTS
void softmax_forward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    const float most = largest(x, columns);
    const double total =
        sum(columns, [x, most](std::int64_t i) { return vector_exp(x[i] - most); });
    const float scale = static_cast<float>(1.0 / total);
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return vector_exp(x[i] - most) * scale; });
  }
}

// dx = y (dy - sum(y dy)).
FOREPLAN_VECTOR_VARIANTS
void softmax_backward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* y = o.in(0) + row * columns;
    const float* dy = o.in(1) + row * columns;
    const float dot =
        static_cast<float>(sum(columns, [=](std::int64_t i) { return y[i] * dy[i]; }));
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return y[i] * (dy[i] - dot); });
  }
}

FOREPLAN_VECTOR_VARIANTS
void softmax_cross_entropy_forward(const LoopOperands& o, const StepContext& context) {
  const auto [rows, columns, unused] = o.shape;
  double loss = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    float* p = o.out(0) + row * columns;
    const std::int32_t label = checked_label(o, 1, row, columns);
    const float most = largest(x, columns);
    const double at_label = static_cast<double>(x[label]) - static_cast<double>(most);
    fill(columns, p, false, [x, most](std::int64_t i) { return vector_exp(x[i] - most); });
    const double total = sum(columns, [p](std::int64_t i) { return p[i]; });
    const float scale = static_cast<float>(1.0 / total);
    fill(columns, p, false, [p, scale](std::int64_t i) { return p[i] * scale; });
    loss += std::log(total) - at_label;
  }
  const float mean = static_cast<float>(loss / static_cast<double>(context.global_batch));
  o.out(1)[0] = o.accumulate ? o.out(1)[0] + mean : mean;
}

FOREPLAN_VECTOR_VARIANTS
void softmax_cross_entropy_backward(const LoopOperands& o, const StepContext& context) {
  const auto [rows, columns, unused] = o.shape;
  const float scale = static_cast<float>(1.0 / static_cast<double>(context.global_batch));
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* p = o.in(0) + row * columns;
    const std::int64_t label = checked_label(o, 1, row, columns);
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return (p[i] - (i == label ? 1.0F : 0.0F)) * scale; });
  }
}

}  // namespace foreplan
