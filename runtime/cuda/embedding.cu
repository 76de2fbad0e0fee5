#include "runtime/cuda/block.cuh"
#include "runtime/cuda/typed.cuh"

namespace foreplan {
namespace {

template <typename T>
struct Lookup {
  const std::int32_t* ids;
  const T* in;   ///< forward: the table; backward: dy
  T* out;        ///< forward: y; backward: the table's gradient
  KernelFault* fault;
  std::int64_t tokens, vocabulary, columns;
  bool accumulate;
};

template <typename T>
__device__ bool sound_id(const Lookup<T>& m, std::int64_t token) {
  const std::int32_t id = m.ids[token];
  if (id >= 0 && id < m.vocabulary) return true;
  if (threadIdx.x == 0) {
    const auto place = static_cast<unsigned long long>(token) << 32;
    atomicMin(&m.fault->row_and_label, place | static_cast<std::uint32_t>(id));
  }
  return false;
}

template <int kPack, typename T>
__global__ void lookup_kernel(Lookup<T> m) {
  for (std::int64_t token = blockIdx.x; token < m.tokens; token += gridDim.x) {
    if (!sound_id(m, token)) continue;
    const T* from = m.in + std::int64_t{m.ids[token]} * m.columns;
    for (std::int64_t i = std::int64_t{threadIdx.x} * kPack; i < m.columns;
         i += std::int64_t{blockDim.x} * kPack) {
      put<kPack>(m.out + token * m.columns + i, load<kPack>(from + i), m.accumulate);
    }
  }
}

/// Whether an earlier token has the same id: then that one's block sums for both.
template <typename T>
__device__ bool seen_before(const Lookup<T>& m, std::int64_t token) {
  const std::int32_t id = m.ids[token];
  float seen = 0.0F;
  for (std::int64_t i = threadIdx.x; i < token; i += blockDim.x) {
    if (m.ids[i] == id) seen = 1.0F;
  }
  return join_block<Largest>(seen) > 0.0F;
}

// The first token of an id adds up the rows of all tokens with that id, in their order: no atomic adds,
// the same bits each time.
template <int kPack, typename T>
__global__ void scatter_kernel(Lookup<T> m) {
  __shared__ std::int32_t tile[kThreads];
  for (std::int64_t token = blockIdx.x; token < m.tokens; token += gridDim.x) {
    if (!sound_id(m, token) || seen_before(m, token)) continue;
    const std::int32_t id = m.ids[token];
    const std::int64_t step = std::int64_t{blockDim.x} * kPack;
    for (std::int64_t begin = 0; begin < m.columns; begin += step) {
      const std::int64_t column = begin + std::int64_t{threadIdx.x} * kPack;
      Numbers<kPack> sum{};
      for (std::int64_t first = token; first < m.tokens; first += blockDim.x) {
        const std::int64_t own = first + threadIdx.x;
        __syncthreads();
        tile[threadIdx.x] = own < m.tokens ? m.ids[own] : -1;
        __syncthreads();
        for (int i = 0; i < static_cast<int>(blockDim.x); ++i) {
          if (tile[i] != id || column >= m.columns) continue;
          const Numbers<kPack> row = load<kPack>(m.in + (first + i) * m.columns + column);
#pragma unroll
          for (int k = 0; k < kPack; ++k) sum.values[k] += row.values[k];
        }
      }
      if (column < m.columns) put<kPack>(m.out + id * m.columns + column, sum, m.accumulate);
    }
  }
}

template <typename T>
Lookup<T> lookup_of(const KernelOperands& o, const CudaStreamContext& c, const Typed<T>& t) {
  return {t.labels(0), t.in(1),    t.out(0),   c.fault,
          o.shape[0],  o.shape[1], o.shape[2], o.accumulate};
}

template <typename T>
bool packs_fit(const Lookup<T>& m) {
  return m.columns % kPackSize<T> == 0 && packable({m.in, m.out});
}

}  // namespace

void cuda_embedding_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    const Lookup<T> m = lookup_of(o, c, t);
    launch(s, grid_of_rows(m.tokens, m.columns, c),
           packs_fit(m) ? lookup_kernel<kPackSize<T>, T> : lookup_kernel<1, T>, m);
  });
}

void cuda_embedding_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                    cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    const Lookup<T> m = lookup_of(o, c, t);
    if (!m.accumulate) {
      const auto bytes = static_cast<std::size_t>(m.vocabulary * m.columns) * sizeof(T);
      check(cudaMemsetAsync(m.out, 0, bytes, s), "cudaMemsetAsync");
    }
    Grid grid = grid_of_rows(m.tokens, m.columns, c);
    grid.threads = kThreads;
    launch(s, grid, packs_fit(m) ? scatter_kernel<kPackSize<T>, T> : scatter_kernel<1, T>, m);
  });
}

}  // namespace foreplan
