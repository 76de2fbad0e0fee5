#pragma once

#include <memory>

#include "runtime/cuda/cuda_call.hpp"

namespace foreplan {

/// C [m, n] (+)= A [m, k] B [k, n] (+ bias [n]), row by row, summed in fp32; a transposed operand is
/// stored as its transpose.
struct CudaProduct {
  std::int64_t m = 1, k = 1, n = 1;
  bool transposed_a = false;
  bool transposed_b = false;
  bool accumulate = false;
  DType dtype = DType::fp32;
  const std::byte* a = nullptr;
  const std::byte* b = nullptr;
  const std::byte* bias = nullptr;  ///< or none
  std::byte* c = nullptr;
};

/// The product inside a linear or matmul task of shape [m, k, n].
CudaProduct product_of(const OpKey& key, const std::vector<const std::byte*>& reads,
                       const std::vector<std::byte*>& writes);

/// The product by cuBLASLt, with the first algorithm that its heuristic names for these shapes, this
/// alignment and this workspace; none that adds atomically.
/// @throws Error(unavailable) if cuBLASLt has no algorithm for it
std::unique_ptr<CudaCall> make_cuda_product(const CudaStreamContext& context,
                                            const CudaProduct& product);

}  // namespace foreplan
