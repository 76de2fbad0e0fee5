#include "runtime/cuda/handles.hpp"

#include <algorithm>

namespace foreplan {

StreamHandle make_stream() {
  cudaStream_t stream{};
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return StreamHandle(stream);
}

EventHandle make_event(bool timed) {
  cudaEvent_t event{};
  const unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming;
  check(cudaEventCreateWithFlags(&event, flags), "cudaEventCreateWithFlags");
  return EventHandle(event);
}

GpuMemory make_gpu_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, std::max<std::size_t>(bytes, 1)), "cudaMalloc");
  return GpuMemory(memory);
}

PinnedMemory make_pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, std::max<std::size_t>(bytes, 1)), "cudaMallocHost");
  return PinnedMemory(memory);
}

BlasHandle make_blas() {
  cublasLtHandle_t handle{};
  check(cublasLtCreate(&handle), "cublasLtCreate");
  return BlasHandle(handle);
}

}  // namespace foreplan
