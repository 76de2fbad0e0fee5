#include <algorithm>

#include "runtime/host_loops.hpp"
#include "runtime/vector_math.hpp"

namespace foreplan {

FOREPLAN_VECTOR_VARIANTS
void embedding_forward(const LoopOperands& o, const StepContext&) {
  const auto [tokens, vocabulary, columns] = o.shape;
  for (std::int64_t token = 0; token < tokens; ++token) {
    const float* row = o.in(1) + std::int64_t{checked_label(o, 0, token, vocabulary)} * columns;
    fill(columns, o.out(0) + token * columns, o.accumulate,
         [row](std::int64_t i) { return row[i]; });
  }
}

FOREPLAN_VECTOR_VARIANTS
void embedding_backward_weight(const LoopOperands& o, const StepContext&) {
  const auto [tokens, vocabulary, columns] = o.shape;
  if (!o.accumulate) std::fill_n(o.out(0), vocabulary * columns, 0.0F);
  for (std::int64_t token = 0; token < tokens; ++token) {
    const float* dy = o.in(1) + token * columns;
    float* row = o.out(0) + std::int64_t{checked_label(o, 0, token, vocabulary)} * columns;
    fill(columns, row, true, [dy](std::int64_t i) { return dy[i]; });
  }
}

}  // namespace foreplan
