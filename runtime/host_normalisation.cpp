#include <cmath>
#include <vector>

#include "runtime/host_loops.hpp"
#include "runtime/vector_math.hpp"

namespace foreplan {
namespace {

constexpr double kNormEpsilon = 1e-5;

}  // namespace

FOREPLAN_VECTOR_VARIANTS
void layer_norm_forward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  const float* gain = o.in(1);
  const float* shift = o.in(2);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    const double n = static_cast<double>(columns);
    const double mean = sum(columns, [x](std::int64_t i) { return x[i]; }) / n;
    const double variance = sum(columns,
                                [x, mean](std::int64_t i) {
                                  const double away = static_cast<double>(x[i]) - mean;
                                  return away * away;
                                }) /
                            n;
    const float centre = static_cast<float>(mean);
    const float scale = static_cast<float>(1.0 / std::sqrt(variance + kNormEpsilon));
    o.out(1)[row] = centre;
    o.out(1)[rows + row] = scale;
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return (x[i] - centre) * scale * gain[i] + shift[i]; });
  }
}

// With x' = (x - mean) s and g = gain dy: dx = s (g - mean(g) - x' mean(g x')).
FOREPLAN_VECTOR_VARIANTS
void layer_norm_backward_input(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  const float* gain = o.in(2);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    const float* dy = o.in(3) + row * columns;
    const float centre = o.in(1)[row];
    const float scale = o.in(1)[rows + row];
    const double n = static_cast<double>(columns);
    const float mean_g =
        static_cast<float>(sum(columns, [=](std::int64_t i) { return gain[i] * dy[i]; }) / n);
    const float mean_gx = static_cast<float>(
        sum(columns, [=](std::int64_t i) { return gain[i] * dy[i] * (x[i] - centre) * scale; }) /
        n);
    fill(columns, o.out(0) + row * columns, o.accumulate, [=](std::int64_t i) {
      return scale * (gain[i] * dy[i] - mean_g - (x[i] - centre) * scale * mean_gx);
    });
  }
}

FOREPLAN_VECTOR_VARIANTS
void layer_norm_backward_weight(const LoopOperands& o, const StepContext&) {
  constexpr std::int64_t kBlock = 64;
  const auto [rows, columns, unused] = o.shape;
  for (std::int64_t first = 0; first < columns; first += kBlock) {
    const std::int64_t width = std::min(kBlock, columns - first);
    std::array<double, kBlock> sums{};
    double* const total = sums.data();
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* x = o.in(0) + row * columns + first;
      const float* dy = o.in(2) + row * columns + first;
      const float centre = o.in(1)[row];
      const float scale = o.in(1)[rows + row];
      for (std::int64_t i = 0; i < width; ++i) {
        total[i] += static_cast<double>(dy[i] * (x[i] - centre) * scale);
      }
    }
    fill(width, o.out(0) + first, o.accumulate,
         [total](std::int64_t i) { return static_cast<float>(total[i]); });
  }
  sum_rows(o.in(2), o.out(1), {rows, columns}, o.accumulate);
}

FOREPLAN_VECTOR_VARIANTS
void rms_norm_forward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  const float* gain = o.in(1);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    const double squares =
        sum(columns, [x](std::int64_t i) { return x[i] * x[i]; }) / static_cast<double>(columns);
    const float scale = static_cast<float>(1.0 / std::sqrt(squares + kNormEpsilon));
    o.out(1)[row] = scale;
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return x[i] * scale * gain[i]; });
  }
}

// With x' = x s and g = gain dy: dx = s (g - x' mean(g x')).
FOREPLAN_VECTOR_VARIANTS
void rms_norm_backward_input(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  const float* gain = o.in(2);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    const float* dy = o.in(3) + row * columns;
    const float scale = o.in(1)[row];
    const float mean_gx = static_cast<float>(
        sum(columns, [=](std::int64_t i) { return gain[i] * dy[i] * x[i] * scale; }) /
        static_cast<double>(columns));
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return scale * (gain[i] * dy[i] - x[i] * scale * mean_gx); });
  }
}

FOREPLAN_VECTOR_VARIANTS
void rms_norm_backward_weight(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  std::vector<double> sums(static_cast<std::size_t>(columns));
  double* const total = sums.data();
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    const float* dy = o.in(2) + row * columns;
    const float scale = o.in(1)[row];
    for (std::int64_t i = 0; i < columns; ++i) {
      total[i] += static_cast<double>(dy[i] * x[i] * scale);
    }
  }
  fill(columns, o.out(0), o.accumulate,
       [total](std::int64_t i) { return static_cast<float>(total[i]); });
}

}  // namespace foreplan
