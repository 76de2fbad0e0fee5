#pragma once

#include <cuda_runtime_api.h>

#include "runtime/cuda/check.hpp"

namespace foreplan {

/// How many blocks, of how many threads. Blocks in y, where there are any, count from 0 as well.
struct Grid {
  unsigned blocks = 1;
  unsigned threads = 256;
  unsigned blocks_y = 1;
};

/// Puts a kernel on a stream. Kernels use __shared__ arrays of fixed size only.
/// @throws Error(failed) if the launch is refused
template <typename... Parameters, typename... Arguments>
void launch(cudaStream_t stream, const Grid& grid, void (*kernel)(Parameters...),
            Arguments... arguments) {
  const auto go = [&](Parameters... values) {
    void* pointers[] = {static_cast<void*>(&values)...};
    check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(grid.blocks, grid.blocks_y),
                           dim3(grid.threads), pointers, 0, stream),
          "cudaLaunchKernel");
  };
  go(static_cast<Parameters>(arguments)...);
}

}  // namespace foreplan
