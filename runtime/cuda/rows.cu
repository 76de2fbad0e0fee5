#include <cmath>

#include "runtime/cuda/block.cuh"
#include "runtime/cuda/typed.cuh"

namespace foreplan {
namespace {

constexpr float kNormEpsilon = 1e-5F;

/// What the kernels below work on: rows of x, each done by a whole block.
template <typename T>
struct RowWork {
  const T* x = nullptr;
  const T* gain = nullptr;
  const T* shift = nullptr;
  const T* dy = nullptr;
  T* y = nullptr;
  const float* statistics = nullptr;
  float* new_statistics = nullptr;
  const std::int32_t* labels = nullptr;
  float* row_losses = nullptr;
  const CudaStep* step = nullptr;
  KernelFault* fault = nullptr;
  std::int64_t rows = 0, columns = 0;
  bool accumulate = false;
};

/// Calls `body(first column)` for every pack of a row that belongs to this thread, then for what is
/// left element by element.
template <int kPack, typename Packs, typename Rest>
__device__ void over_row(std::int64_t columns, const Packs& packs, const Rest& rest) {
  const std::int64_t whole = columns / kPack * kPack;
  for (std::int64_t i = std::int64_t{threadIdx.x} * kPack; i < whole;
       i += std::int64_t{blockDim.x} * kPack) {
    packs(i);
  }
  for (std::int64_t i = whole + threadIdx.x; i < columns; i += blockDim.x) rest(i);
}

/// Joins `value(x, column)` over a row of x.
template <typename Join, int kPack, typename T, typename Value>
__device__ float join_row(const T* x, std::int64_t columns, const Value& value) {
  float joined = Join::none();
  over_row<kPack>(
      columns,
      [&](std::int64_t i) {
        const Numbers<kPack> numbers = load<kPack>(x + i);
#pragma unroll
        for (int k = 0; k < kPack; ++k) joined = Join::join(joined, value(numbers.values[k], i + k));
      },
      [&](std::int64_t i) { joined = Join::join(joined, value(widened(x[i]), i)); });
  return join_block<Join>(joined);
}

/// y[i] (+)= f(x[i], i) over a row.
template <int kPack, typename T, typename F>
__device__ void write_row(const T* x, T* y, std::int64_t columns, bool accumulate, const F& f) {
  over_row<kPack>(
      columns,
      [&](std::int64_t i) {
        Numbers<kPack> numbers = load<kPack>(x + i);
#pragma unroll
        for (int k = 0; k < kPack; ++k) numbers.values[k] = f(numbers.values[k], i + k);
        put<kPack>(y + i, numbers, accumulate);
      },
      [&](std::int64_t i) {
        const Numbers<1> number{{f(widened(x[i]), i)}};
        put<1>(y + i, number, accumulate);
      });
}

// Layer norm, and RMS norm (without mean and shift): statistics are mean and 1 / deviation.
template <bool kCentred, int kPack, typename T>
__global__ void norm_forward_kernel(RowWork<T> m) {
  const float n = static_cast<float>(m.columns);
  for (std::int64_t row = blockIdx.x; row < m.rows; row += gridDim.x) {
    const T* x = m.x + row * m.columns;
    float centre = 0.0F;
    if constexpr (kCentred) {
      centre = join_row<Sum, kPack>(x, m.columns, [](float v, std::int64_t) { return v; }) / n;
    }
    const float variance = join_row<Sum, kPack>(x, m.columns, [=](float v, std::int64_t) {
                             return (v - centre) * (v - centre);
                           }) / n;
    const float scale = 1.0F / sqrtf(variance + kNormEpsilon);
    if (threadIdx.x == 0) {
      if constexpr (kCentred) m.new_statistics[row] = centre;
      m.new_statistics[kCentred ? m.rows + row : row] = scale;
    }
    write_row<kPack>(x, m.y + row * m.columns, m.columns, m.accumulate,
                     [=](float v, std::int64_t i) {
                       const float normal = (v - centre) * scale * widened(m.gain[i]);
                       return kCentred ? normal + widened(m.shift[i]) : normal;
                     });
  }
}

// With x' = (x - mean) s and g = gain dy: dx = s (g - mean(g) - x' mean(g x')); RMS norm has no mean(g).
template <bool kCentred, int kPack, typename T>
__global__ void norm_backward_kernel(RowWork<T> m) {
  const float n = static_cast<float>(m.columns);
  for (std::int64_t row = blockIdx.x; row < m.rows; row += gridDim.x) {
    const T* x = m.x + row * m.columns;
    const T* dy = m.dy + row * m.columns;
    const float centre = kCentred ? m.statistics[row] : 0.0F;
    const float scale = m.statistics[kCentred ? m.rows + row : row];
    const auto g = [=](std::int64_t i) { return widened(m.gain[i]) * widened(dy[i]); };
    float mean_g = 0.0F;
    if constexpr (kCentred) {
      mean_g = join_row<Sum, kPack>(dy, m.columns, [=](float v, std::int64_t i) {
                 return v * widened(m.gain[i]);
               }) / n;
    }
    const float mean_gx = join_row<Sum, kPack>(x, m.columns, [=](float v, std::int64_t i) {
                            return g(i) * (v - centre) * scale;
                          }) / n;
    write_row<kPack>(x, m.y + row * m.columns, m.columns, m.accumulate,
                     [=](float v, std::int64_t i) {
                       return scale * (g(i) - mean_g - (v - centre) * scale * mean_gx);
                     });
  }
}

struct Exponentials {
  float most, total;
};

template <int kPack, typename T>
__device__ Exponentials exponentials(const T* x, std::int64_t columns) {
  const float most =
      join_row<Largest, kPack>(x, columns, [](float v, std::int64_t) { return v; });
  const float total = join_row<Sum, kPack>(
      x, columns, [=](float v, std::int64_t) { return expf(v - most); });
  return {most, total};
}

template <int kPack, typename T>
__global__ void softmax_kernel(RowWork<T> m) {
  for (std::int64_t row = blockIdx.x; row < m.rows; row += gridDim.x) {
    const T* x = m.x + row * m.columns;
    const Exponentials e = exponentials<kPack>(x, m.columns);
    const float scale = 1.0F / e.total;
    write_row<kPack>(x, m.y + row * m.columns, m.columns, m.accumulate,
                     [=](float v, std::int64_t) { return expf(v - e.most) * scale; });
  }
}

// dx = y (dy - sum(y dy)).
template <int kPack, typename T>
__global__ void softmax_backward_kernel(RowWork<T> m) {
  for (std::int64_t row = blockIdx.x; row < m.rows; row += gridDim.x) {
    const T* y = m.x + row * m.columns;
    const T* dy = m.dy + row * m.columns;
    const float dot = join_row<Sum, kPack>(
        y, m.columns, [=](float v, std::int64_t i) { return v * widened(dy[i]); });
    write_row<kPack>(y, m.y + row * m.columns, m.columns, m.accumulate,
                     [=](float v, std::int64_t i) { return v * (widened(dy[i]) - dot); });
  }
}

template <typename T>
__device__ bool sound_label(const RowWork<T>& m, std::int64_t row) {
  const std::int32_t label = m.labels[row];
  if (label >= 0 && label < m.columns) return true;
  if (threadIdx.x == 0) {
    const auto place = static_cast<unsigned long long>(row) << 32;
    atomicMin(&m.fault->row_and_label, place | static_cast<std::uint32_t>(label));
  }
  return false;
}

template <int kPack, typename T>
__global__ void cross_entropy_kernel(RowWork<T> m) {
  for (std::int64_t row = blockIdx.x; row < m.rows; row += gridDim.x) {
    const T* x = m.x + row * m.columns;
    const Exponentials e = exponentials<kPack>(x, m.columns);
    const float scale = 1.0F / e.total;
    if (threadIdx.x == 0) {
      const bool sound = sound_label(m, row);
      const float at_label = sound ? widened(x[m.labels[row]]) : e.most;
      m.row_losses[row] = logf(e.total) - (at_label - e.most);
    }
    __syncthreads();  // y may be x
    write_row<kPack>(x, m.y + row * m.columns, m.columns, false,
                     [=](float v, std::int64_t) { return expf(v - e.most) * scale; });
  }
}

template <int kPack, typename T>
__global__ void cross_entropy_backward_kernel(RowWork<T> m) {
  const float scale = m.step->inverse_batch;
  for (std::int64_t row = blockIdx.x; row < m.rows; row += gridDim.x) {
    sound_label(m, row);
    const std::int64_t label = m.labels[row];
    write_row<kPack>(m.x + row * m.columns, m.y + row * m.columns, m.columns, m.accumulate,
                     [=](float v, std::int64_t i) {
                       return (v - (i == label ? 1.0F : 0.0F)) * scale;
                     });
  }
}

struct LossSum {
  const float* row_losses;
  float* loss;
  std::int64_t rows;
  const CudaStep* step;
  bool accumulate;
};

// One block: always the same order.
__global__ void loss_kernel(LossSum m) {
  float total = 0.0F;
  for (std::int64_t i = threadIdx.x; i < m.rows; i += blockDim.x) total += m.row_losses[i];
  total = join_block<Sum>(total);
  if (threadIdx.x != 0) return;
  total *= m.step->inverse_batch;
  *m.loss = m.accumulate ? *m.loss + total : total;
}

template <typename T>
bool packs_fit(const RowWork<T>& m) {
  return m.columns % kPackSize<T> == 0 && packable({m.x, m.y});
}

template <typename T>
RowWork<T> row_work(const KernelOperands& o, const CudaStreamContext& c) {
  RowWork<T> m;
  m.rows = o.shape[0];
  m.columns = o.shape[1];
  m.accumulate = o.accumulate;
  m.step = c.step;
  m.fault = c.fault;
  return m;
}

/// Launches one of the kernels above, packed where rows allow it.
template <typename T>
void over_rows(const RowWork<T>& m, const CudaStreamContext& c, cudaStream_t s,
               void (*packed)(RowWork<T>), void (*single)(RowWork<T>)) {
  launch(s, grid_of_rows(m.rows, m.columns, c), packs_fit(m) ? packed : single, m);
}

template <bool kCentred>
void norm_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    RowWork<T> m = row_work<T>(o, c);
    m.x = t.in(0);
    m.gain = t.in(1);
    if constexpr (kCentred) m.shift = t.in(2);
    m.y = t.out(0);
    m.new_statistics = t.words_out(1);
    over_rows(m, c, s, norm_forward_kernel<kCentred, kPackSize<T>, T>,
              norm_forward_kernel<kCentred, 1, T>);
  });
}

template <bool kCentred>
void norm_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    RowWork<T> m = row_work<T>(o, c);
    m.x = t.in(0);
    m.statistics = t.words_in(1);
    m.gain = t.in(2);
    m.dy = t.in(3);
    m.y = t.out(0);
    over_rows(m, c, s, norm_backward_kernel<kCentred, kPackSize<T>, T>,
              norm_backward_kernel<kCentred, 1, T>);
  });
}

}  // namespace

void cuda_layer_norm_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  norm_forward<true>(o, c, s);
}
void cuda_layer_norm_backward_input(const KernelOperands& o, const CudaStreamContext& c,
                                    cudaStream_t s) {
  norm_backward<true>(o, c, s);
}
void cuda_rms_norm_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  norm_forward<false>(o, c, s);
}
void cuda_rms_norm_backward_input(const KernelOperands& o, const CudaStreamContext& c,
                                  cudaStream_t s) {
  norm_backward<false>(o, c, s);
}

void cuda_softmax_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    RowWork<T> m = row_work<T>(o, c);
    m.x = t.in(0);
    m.y = t.out(0);
    over_rows(m, c, s, softmax_kernel<kPackSize<T>, T>, softmax_kernel<1, T>);
  });
}

void cuda_softmax_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    RowWork<T> m = row_work<T>(o, c);
    m.x = t.in(0);
    m.dy = t.in(1);
    m.y = t.out(0);
    over_rows(m, c, s, softmax_backward_kernel<kPackSize<T>, T>, softmax_backward_kernel<1, T>);
  });
}

std::size_t loss_workspace(const KernelOperands& o) {
  return static_cast<std::size_t>(o.shape[0]) * sizeof(float);
}

void cuda_softmax_cross_entropy_forward(const KernelOperands& o, const CudaStreamContext& c,
                                        cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    RowWork<T> m = row_work<T>(o, c);
    m.x = t.in(0);
    m.labels = t.labels(1);
    m.y = t.out(0);
    m.row_losses = static_cast<float*>(c.workspace);
    over_rows(m, c, s, cross_entropy_kernel<kPackSize<T>, T>, cross_entropy_kernel<1, T>);
    launch(s, {.blocks = 1, .threads = kThreads}, loss_kernel,
           LossSum{m.row_losses, t.words_out(1), m.rows, c.step, o.accumulate});
  });
}

void cuda_softmax_cross_entropy_backward(const KernelOperands& o, const CudaStreamContext& c,
                                         cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    RowWork<T> m = row_work<T>(o, c);
    m.x = t.in(0);
    m.labels = t.labels(1);
    m.y = t.out(0);
    over_rows(m, c, s, cross_entropy_backward_kernel<kPackSize<T>, T>,
              cross_entropy_backward_kernel<1, T>);
  });
}

}  // namespace foreplan
