#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <utility>

namespace foreplan {

/// Throws where a call did not return cudaSuccess.
/// @param call  the name of the function that was called
/// @throws Error(failed) "cudaMalloc: out of memory", for instance
void check(cudaError_t status, const char* call);
/// The same for cuBLASLt.
void check(cublasStatus_t status, const char* call);

/// For destructors: nothing can be done about a failure there. Clears the runtime's last error.
void ignore(cudaError_t status) noexcept;

/// Makes a GPU the current one of this thread, until the end of the scope.
class CurrentGpu {
 public:
  /// @throws Error(failed) if there is no such GPU
  explicit CurrentGpu(int gpu);
  ~CurrentGpu();
  CurrentGpu(const CurrentGpu&) = delete;
  CurrentGpu& operator=(const CurrentGpu&) = delete;

 private:
  int before_ = 0;
};

}  // namespace foreplan
