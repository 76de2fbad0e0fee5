#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/host_kernels.hpp"

namespace foreplan {

/// C [m, n] (+)= A [m, k] B [k, n] (+ bias [n]), fp32, row by row; a transposed operand is stored
/// as its transpose.
struct MatrixProduct {
  std::int64_t m = 1, k = 1, n = 1;
  bool transposed_a = false;
  bool transposed_b = false;
  bool accumulate = false;
  const std::byte* a = nullptr;
  const std::byte* b = nullptr;
  const std::byte* bias = nullptr;  ///< or none
  std::byte* c = nullptr;
};

/// The product by oneDNN's matmul primitive: made here once, with its scratch memory.
/// @throws Error(unavailable) if oneDNN has no such primitive
std::unique_ptr<HostCall> make_product(const MatrixProduct& product);

}  // namespace foreplan
