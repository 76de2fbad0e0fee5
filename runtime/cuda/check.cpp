#include "runtime/cuda/check.hpp"

#include <fmt/format.h>

#include "sim/error.hpp"

namespace foreplan {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  ignore(cudaGetLastError());
  throw Error(ErrorCode::failed, fmt::format("{}: {}", call, cudaGetErrorString(status)));
}

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::failed, fmt::format("{}: {}", call, cublasLtGetStatusName(status)));
}

void ignore(cudaError_t status) noexcept {
  if (status != cudaSuccess) static_cast<void>(cudaGetLastError());
}

CurrentGpu::CurrentGpu(int gpu) {
  check(cudaGetDevice(&before_), "cudaGetDevice");
  if (gpu != before_) check(cudaSetDevice(gpu), "cudaSetDevice");
}

CurrentGpu::~CurrentGpu() { ignore(cudaSetDevice(before_)); }

}  // namespace foreplan
