#pragma once

// Shadows runtime/cuda/launch.cuh where kernels are compiled for the host: the same `launch`, and what
// nvcc knows by itself, as far as our kernels use it.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "runtime/cuda/check.hpp"
#include "tests/cuda_emulation/kernel_run.hpp"
#include "tests/cuda_emulation/streams.hpp"

#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)
#define threadIdx (::foreplan::emulation::current().thread)
#define blockIdx (::foreplan::emulation::current().block)
#define blockDim (::foreplan::emulation::current().block_size)
#define gridDim (::foreplan::emulation::current().grid_size)

inline void __syncthreads() { ::foreplan::emulation::meet_block(); }
inline void __syncwarp(unsigned = 0xffffffffU) { ::foreplan::emulation::meet_warp(); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = ::foreplan::emulation::exchange(bits, static_cast<unsigned>(mask));
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

inline unsigned long long atomicMin(unsigned long long* place, unsigned long long value) {
  const unsigned long long old = *place;
  *place = std::min(old, value);
  return old;
}

namespace foreplan {

struct Grid {
  unsigned blocks = 1;
  unsigned threads = 256;
  unsigned blocks_y = 1;
};

template <typename... Parameters, typename... Arguments>
void launch(cudaStream_t stream, const Grid& grid, void (*kernel)(Parameters...),
            Arguments... arguments) {
  const std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  check(emulation::put(stream, {.kind = emulation::Kind::kernel},
                       [=] {
                         emulation::run_kernel(dim3(grid.blocks, grid.blocks_y), dim3(grid.threads),
                                               [&] { std::apply(kernel, values); });
                       }),
        "cudaLaunchKernel");
}

}  // namespace foreplan
