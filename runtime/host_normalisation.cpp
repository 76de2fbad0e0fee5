#include <fmt/format.h>

#include <cmath>

#include "runtime/host_loops.hpp"
#include "runtime/vector_math.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr double kLayerNormEpsilon = 1e-5;

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

std::int32_t checked_label(const LoopOperands& o, std::int64_t row) {
  const std::int32_t label = o.labels(1)[row];
  if (label < 0 || label >= o.shape[1]) {
    throw Error(ErrorCode::failed, fmt::format("sample {}: expected a label in 0..{}, got {}", row,
                                               o.shape[1] - 1, label));
  }
  return label;
}

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
    const float scale = static_cast<float>(1.0 / std::sqrt(variance + kLayerNormEpsilon));
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
void softmax_cross_entropy_forward(const LoopOperands& o, const StepContext& context) {
  const auto [rows, columns, unused] = o.shape;
  double loss = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    float* p = o.out(0) + row * columns;
    const std::int32_t label = checked_label(o, row);
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
    const std::int64_t label = checked_label(o, row);
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [=](std::int64_t i) { return (p[i] - (i == label ? 1.0F : 0.0F)) * scale; });
  }
}

}  // namespace foreplan
