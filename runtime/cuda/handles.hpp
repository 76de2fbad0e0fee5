#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include "runtime/cuda/check.hpp"

namespace foreplan {

/// Owns a handle of the CUDA runtime or of cuBLASLt: move-only, released once.
template <typename Handle, auto release>
class CudaHandle {
 public:
  CudaHandle() = default;
  explicit CudaHandle(Handle handle) : handle_(handle) {}
  CudaHandle(CudaHandle&& other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
  CudaHandle& operator=(CudaHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~CudaHandle() {
    if (handle_ != Handle{}) static_cast<void>(release(handle_));
  }
  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != Handle{}; }

 private:
  Handle handle_{};
};

using StreamHandle = CudaHandle<cudaStream_t, cudaStreamDestroy>;
using EventHandle = CudaHandle<cudaEvent_t, cudaEventDestroy>;
using GraphHandle = CudaHandle<cudaGraph_t, cudaGraphDestroy>;
using GraphExecHandle = CudaHandle<cudaGraphExec_t, cudaGraphExecDestroy>;
using PoolHandle = CudaHandle<cudaMemPool_t, cudaMemPoolDestroy>;
using GpuMemory = CudaHandle<void*, cudaFree>;      ///< of cudaMalloc and cudaMallocAsync
using PinnedMemory = CudaHandle<void*, cudaFreeHost>;  ///< of cudaMallocHost
using BlasHandle = CudaHandle<cublasLtHandle_t, cublasLtDestroy>;

/// What the current GPU makes. @throws Error(failed)
StreamHandle make_stream();
/// @param timed  whether cudaEventElapsedTime may be asked about it
EventHandle make_event(bool timed);
GpuMemory make_gpu_memory(std::size_t bytes);
PinnedMemory make_pinned_memory(std::size_t bytes);
BlasHandle make_blas();

}  // namespace foreplan
