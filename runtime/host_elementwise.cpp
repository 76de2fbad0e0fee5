#include <cstring>

#include "runtime/host_loops.hpp"
#include "runtime/vector_math.hpp"

namespace foreplan {

FOREPLAN_VECTOR_VARIANTS
void bias_add_forward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, unused] = o.shape;
  const float* bias = o.in(1);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = o.in(0) + row * columns;
    fill(columns, o.out(0) + row * columns, o.accumulate,
         [x, bias](std::int64_t i) { return x[i] + bias[i]; });
  }
}

void bias_add_backward_weight(const LoopOperands& o, const StepContext&) {
  sum_rows(o.in(0), o.out(0), {o.shape[0], o.shape[1]}, o.accumulate);
}

FOREPLAN_VECTOR_VARIANTS
void relu_forward(const LoopOperands& o, const StepContext&) {
  fill(o.shape[0], o.out(0), o.accumulate,
       [x = o.in(0)](std::int64_t i) { return x[i] > 0.0F ? x[i] : 0.0F; });
}

FOREPLAN_VECTOR_VARIANTS
void relu_backward(const LoopOperands& o, const StepContext&) {
  fill(o.shape[0], o.out(0), o.accumulate,
       [y = o.in(0), dy = o.in(1)](std::int64_t i) { return y[i] > 0.0F ? dy[i] : 0.0F; });
}

FOREPLAN_VECTOR_VARIANTS
void gelu_forward(const LoopOperands& o, const StepContext&) {
  fill(o.shape[0], o.out(0), o.accumulate,
       [x = o.in(0)](std::int64_t i) { return x[i] * vector_normal(x[i]).below; });
}

// d/dx x Phi(x) = Phi(x) + x phi(x).
FOREPLAN_VECTOR_VARIANTS
void gelu_backward(const LoopOperands& o, const StepContext&) {
  fill(o.shape[0], o.out(0), o.accumulate, [x = o.in(0), dy = o.in(1)](std::int64_t i) {
    const Normal normal = vector_normal(x[i]);
    return dy[i] * (normal.below + x[i] * normal.density);
  });
}

FOREPLAN_VECTOR_VARIANTS
void add_forward(const LoopOperands& o, const StepContext&) {
  fill(o.shape[0], o.out(0), o.accumulate,
       [a = o.in(0), b = o.in(1)](std::int64_t i) { return a[i] + b[i]; });
}

FOREPLAN_VECTOR_VARIANTS
void accumulate_forward(const LoopOperands& o, const StepContext&) {
  fill(o.shape[0], o.out(0), true, [x = o.in(0)](std::int64_t i) { return x[i]; });
}

void copy_forward(const LoopOperands& o, const StepContext& context) {
  if (o.accumulate) {
    accumulate_forward(o, context);
  } else {
    std::memcpy(o.out(0), o.in(0), static_cast<std::size_t>(o.shape[0]) * sizeof(float));
  }
}

FOREPLAN_VECTOR_VARIANTS
void gather_columns_forward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, parts] = o.shape;
  const std::int64_t width = columns / parts;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t part = 0; part < parts; ++part) {
      const float* x = o.in(0) + (part * rows + row) * width;
      fill(width, o.out(0) + row * columns + part * width, o.accumulate,
           [x](std::int64_t i) { return x[i]; });
    }
  }
}

FOREPLAN_VECTOR_VARIANTS
void gather_columns_backward(const LoopOperands& o, const StepContext&) {
  const auto [rows, columns, parts] = o.shape;
  const std::int64_t width = columns / parts;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* dy = o.in(0) + row * columns;
    fill(width, o.out(0) + row * width, o.accumulate, [dy](std::int64_t i) { return dy[i]; });
  }
}

FOREPLAN_VECTOR_VARIANTS
void sum_rows(const float* x, float* y, std::array<std::int64_t, 2> shape, bool accumulate) {
  constexpr std::int64_t kBlock = 64;
  const auto [rows, columns] = shape;
  for (std::int64_t first = 0; first < columns; first += kBlock) {
    const std::int64_t width = std::min(kBlock, columns - first);
    std::array<double, kBlock> sums{};
    double* const total = sums.data();
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* line = x + row * columns + first;
      for (std::int64_t i = 0; i < width; ++i) total[i] += static_cast<double>(line[i]);
    }
    fill(width, y + first, accumulate,
         [total](std::int64_t i) { return static_cast<float>(total[i]); });
  }
}

}  // namespace foreplan
