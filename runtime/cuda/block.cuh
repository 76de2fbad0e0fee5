#pragma once

#include "runtime/cuda/launch.cuh"

namespace foreplan {

constexpr int kWarpSize = 32;
constexpr int kMostWarps = 32;

struct Sum {
  __device__ static float join(float a, float b) { return a + b; }
  __device__ static float none() { return 0.0F; }
};

struct Largest {
  __device__ static float join(float a, float b) { return a > b ? a : b; }
  __device__ static float none() { return -3.402823466e+38F; }
};

template <typename Join>
__device__ inline float join_warp(float value) {
#pragma unroll
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2) {
    value = Join::join(value, __shfl_xor_sync(0xffffffffU, value, mask));
  }
  return value;
}

/// Joins what the threads of a block hold, in an order that only the block's size decides; every
/// thread gets the result. Blocks are whole warps.
template <typename Join>
__device__ inline float join_block(float value) {
  __shared__ float partial[kMostWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int warps = static_cast<int>(blockDim.x) / kWarpSize;
  value = join_warp<Join>(value);
  if (warps == 1) return value;
  __syncthreads();  // the array may still be read from the last time
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return join_warp<Join>(lane < warps ? partial[lane] : Join::none());
}

}  // namespace foreplan
