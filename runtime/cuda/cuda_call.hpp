#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/cuda/cuda_step.hpp"

namespace foreplan {

/// Where a kernel tells that its data is unusable: the least (row << 32 | label) of the labels out of
/// range, all ones where there is none.
struct KernelFault {
  static constexpr unsigned long long kNone = ~0ULL;
  unsigned long long row_and_label = kNone;
};

/// What the calls of one stream share; the backend owns all of it.
struct CudaStreamContext {
  int multiprocessors = 1;
  cublasLtHandle_t blas{};         ///< of the stream's GPU
  void* workspace = nullptr;       ///< device memory of this stream alone, 256-byte aligned
  std::size_t workspace_bytes = 0;
  const CudaStep* step = nullptr;     ///< device memory, written before each run
  KernelFault* fault = nullptr;       ///< device memory, of this call alone
};

/// An op bound to its operands: `enqueue` only puts prepared work on a stream.
class CudaCall {
 public:
  CudaCall() = default;
  CudaCall(const CudaCall&) = delete;
  CudaCall& operator=(const CudaCall&) = delete;
  virtual ~CudaCall() = default;
  /// The same inputs give the same bits. Nothing here waits, and all of it can be captured.
  /// @throws Error(failed) if a call fails
  virtual void enqueue(cudaStream_t stream) const = 0;
  /// What was chosen for this op, for profiles: cuBLASLt's algorithm; empty for our own kernels.
  virtual std::string choice() const { return {}; }
  /// Whether it may report a KernelFault, and of how many labels.
  virtual std::int64_t classes() const { return 0; }
};

/// Binds `op`, any of the table in models/op_cost.hpp, to its operands in device memory. The current
/// GPU is the stream's.
///
/// Matrix products are cuBLASLt's; everything else are kernels of our own. Sums over rows, statistics
/// and losses run in fp32 with pairwise or Kahan order, fixed by the shape alone.
/// @param reads, writes  as the table lists them, each as large as operand_bytes() tells, aligned to
///   256 bytes or not: kernels that move vectors look first
/// @throws Error(invalid_argument) if there is no such kernel or the number of operands is wrong
/// @throws Error(unavailable) if cuBLASLt has no algorithm
std::unique_ptr<CudaCall> make_cuda_call(const CudaStreamContext& context, const Op& op,
                                         std::vector<const std::byte*> reads,
                                         std::vector<std::byte*> writes);

}  // namespace foreplan
