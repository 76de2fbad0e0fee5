#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

namespace foreplan {

using Half = __half;
using BFloat = __nv_bfloat16;

/// Kernels compute in fp32, whatever they load and store.
__device__ inline float widened(float x) { return x; }
__device__ inline float widened(Half x) { return __half2float(x); }
__device__ inline float widened(BFloat x) { return __bfloat162float(x); }

template <typename T>
__device__ T narrowed(float x);
template <>
__device__ inline float narrowed<float>(float x) {
  return x;
}
template <>
__device__ inline Half narrowed<Half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ inline BFloat narrowed<BFloat>(float x) {
  return __float2bfloat16_rn(x);
}

/// Neighbouring elements that are moved together.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T values[kCount];
};

/// What one load moves at best: 16 bytes.
template <typename T>
inline constexpr int kPackSize = static_cast<int>(16 / sizeof(T));

/// Neighbouring elements as numbers to compute with.
template <int kCount>
struct Numbers {
  float values[kCount];
};

template <int kCount, typename T>
__device__ inline Numbers<kCount> load(const T* from) {
  const Pack<T, kCount> pack = *reinterpret_cast<const Pack<T, kCount>*>(from);
  Numbers<kCount> numbers;
#pragma unroll
  for (int i = 0; i < kCount; ++i) numbers.values[i] = widened(pack.values[i]);
  return numbers;
}

template <int kCount, typename T>
__device__ inline void store(T* to, const Numbers<kCount>& numbers) {
  Pack<T, kCount> pack;
#pragma unroll
  for (int i = 0; i < kCount; ++i) pack.values[i] = narrowed<T>(numbers.values[i]);
  *reinterpret_cast<Pack<T, kCount>*>(to) = pack;
}

/// Stores, or adds to what is there.
template <int kCount, typename T>
__device__ inline void put(T* to, Numbers<kCount> numbers, bool accumulate) {
  if (accumulate) {
    const Numbers<kCount> old = load<kCount>(to);
#pragma unroll
    for (int i = 0; i < kCount; ++i) numbers.values[i] += old.values[i];
  }
  store<kCount>(to, numbers);
}

}  // namespace foreplan
