#pragma once

#include <algorithm>
#include <initializer_list>

#include "runtime/cuda/element.cuh"
#include "runtime/cuda/kernel_entry.hpp"
#include "runtime/cuda/launch.cuh"
#include "sim/error.hpp"

namespace foreplan {

/// Operands of element type T.
template <typename T>
struct Typed {
  const KernelOperands& o;
  const T* in(std::size_t i) const { return reinterpret_cast<const T*>(o.reads[i]); }
  T* out(std::size_t i) const { return reinterpret_cast<T*>(o.writes[i]); }
  const float* words_in(std::size_t i) const { return reinterpret_cast<const float*>(o.reads[i]); }
  float* words_out(std::size_t i) const { return reinterpret_cast<float*>(o.writes[i]); }
  const std::int32_t* labels(std::size_t i) const {
    return reinterpret_cast<const std::int32_t*>(o.reads[i]);
  }
};

/// Calls `body` with the operands in their element type.
template <typename Body>
void typed(const KernelOperands& o, const Body& body) {
  switch (o.dtype) {
    case DType::fp32:
    case DType::tf32: return body(Typed<float>{o});
    case DType::fp16: return body(Typed<Half>{o});
    case DType::bf16: return body(Typed<BFloat>{o});
    case DType::fp8: break;
  }
  reject("kernels take fp32, tf32, fp16 and bf16");
}

/// Whether all of these can be moved in packs of 16 bytes.
inline bool packable(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(), [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  });
}

constexpr unsigned kThreads = 256;

/// Enough blocks for `items` threads, and not more than fill the GPU.
inline Grid grid_of(std::int64_t items, const CudaStreamContext& c) {
  const std::int64_t blocks = (items + kThreads - 1) / kThreads;
  const std::int64_t most = std::int64_t{c.multiprocessors} * 8;  // of 2048 threads at once
  return {.blocks = static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, most)),
          .threads = kThreads};
}

/// Blocks for rows of `columns`: one a row, of as many warps as the row can use.
inline Grid grid_of_rows(std::int64_t rows, std::int64_t columns, const CudaStreamContext& c) {
  unsigned threads = 32;
  while (threads < kThreads && static_cast<std::int64_t>(threads) * 4 < columns) threads *= 2;
  const std::int64_t most = std::int64_t{c.multiprocessors} * (2048 / threads);
  return {.blocks = static_cast<unsigned>(std::clamp<std::int64_t>(rows, 1, most)),
          .threads = threads};
}

}  // namespace foreplan
