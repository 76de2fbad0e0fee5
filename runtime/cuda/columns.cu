#include "runtime/cuda/block.cuh"
#include "runtime/cuda/typed.cuh"

namespace foreplan {
namespace {

constexpr int kRowLanes = 8;  ///< warps of a block, each summing rows of its own

/// Sums over the rows of dy [rows, columns]: of itself, and of dy times normalised x where the kind says.
enum class Sums { plain, layer_norm, rms_norm };

template <typename T>
struct ColumnWork {
  const T* dy = nullptr;
  const T* x = nullptr;
  const float* statistics = nullptr;
  float* partial = nullptr;  ///< [slices, outputs, columns]
  std::int64_t rows = 0, columns = 0, rows_of_slice = 0;
};

template <Sums kKind>
inline constexpr int kOutputs = kKind == Sums::layer_norm ? 2 : 1;

/// Adds a row's terms to the sums of kPack columns.
template <Sums kKind, int kPack, typename T>
__device__ void add_terms(const ColumnWork<T>& m, std::int64_t row, std::int64_t column,
                          float (&sums)[kOutputs<kKind>][kPack]) {
  const Numbers<kPack> dy = load<kPack>(m.dy + row * m.columns + column);
  if constexpr (kKind == Sums::plain) {
#pragma unroll
    for (int k = 0; k < kPack; ++k) sums[0][k] += dy.values[k];
  } else {
    constexpr bool kCentred = kKind == Sums::layer_norm;
    const Numbers<kPack> x = load<kPack>(m.x + row * m.columns + column);
    const float centre = kCentred ? m.statistics[row] : 0.0F;
    const float scale = m.statistics[kCentred ? m.rows + row : row];
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      sums[0][k] += dy.values[k] * (x.values[k] - centre) * scale;
      if constexpr (kCentred) sums[1][k] += dy.values[k];
    }
  }
}

// A block sums a slice of rows (blockIdx.y) of 32 packs of columns (blockIdx.x).
template <Sums kKind, int kPack, typename T>
__global__ void partial_sums_kernel(ColumnWork<T> m) {
  __shared__ float shared[kRowLanes][kWarpSize * kPack + 1];
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t column = (std::int64_t{blockIdx.x} * kWarpSize + lane) * kPack;
  const std::int64_t first = std::int64_t{blockIdx.y} * m.rows_of_slice;
  const std::int64_t end = first + m.rows_of_slice < m.rows ? first + m.rows_of_slice : m.rows;
  float sums[kOutputs<kKind>][kPack] = {};
  if (column < m.columns) {
#pragma unroll 4
    for (std::int64_t row = first + warp; row < end; row += kRowLanes) {
      add_terms<kKind>(m, row, column, sums);
    }
  }
#pragma unroll
  for (int output = 0; output < kOutputs<kKind>; ++output) {
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kPack; ++k) shared[warp][lane * kPack + k] = sums[output][k];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kWarpSize * kPack;
         i += static_cast<int>(blockDim.x)) {
      const std::int64_t at = std::int64_t{blockIdx.x} * kWarpSize * kPack + i;
      if (at >= m.columns) continue;
      float total = 0.0F;
      for (int other = 0; other < kRowLanes; ++other) total += shared[other][i];
      m.partial[(std::int64_t{blockIdx.y} * kOutputs<kKind> + output) * m.columns + at] = total;
    }
  }
}

template <typename T>
struct Totals {
  const float* partial;
  T* out[2];
  std::int64_t columns, slices;
  int outputs;
  bool accumulate;
};

template <typename T>
__global__ void total_sums_kernel(Totals<T> m) {
  const std::int64_t threads = std::int64_t{gridDim.x} * blockDim.x;
  const std::int64_t all = m.columns * m.outputs;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < all; i += threads) {
    float total = 0.0F;
    for (std::int64_t slice = 0; slice < m.slices; ++slice) total += m.partial[slice * all + i];
    const Numbers<1> number{{total}};
    put<1>(m.out[i / m.columns] + i % m.columns, number, m.accumulate);
  }
}

/// Enough slices to fill the GPU, of at least 32 rows, as far as the workspace holds their sums.
std::int64_t slices_of(std::int64_t rows, std::int64_t columns, int outputs, int pack,
                       const CudaStreamContext& c) {
  const std::int64_t tile = std::int64_t{kWarpSize} * pack;
  const std::int64_t tiles = (columns + tile - 1) / tile;
  const std::int64_t wanted = (std::int64_t{c.multiprocessors} * 8 + tiles - 1) / tiles;
  const std::int64_t useful = (rows + 31) / 32;
  const std::int64_t slice_bytes = columns * outputs * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t held = static_cast<std::int64_t>(c.workspace_bytes) / slice_bytes;
  if (held < 1) reject("the workspace of a stream is too small for the sums of so many columns");
  return std::max<std::int64_t>(1, std::min({wanted, useful, held, std::int64_t{65535}}));
}

template <Sums kKind, int kPack, typename T>
void column_sums(ColumnWork<T> m, const std::array<T*, 2>& out, bool accumulate,
                 const CudaStreamContext& c, cudaStream_t s) {
  constexpr int kCount = kOutputs<kKind>;
  const std::int64_t slices = slices_of(m.rows, m.columns, kCount, kPack, c);
  m.rows_of_slice = (m.rows + slices - 1) / slices;
  m.partial = static_cast<float*>(c.workspace);
  const std::int64_t tile = std::int64_t{kWarpSize} * kPack;
  launch(s,
         {.blocks = static_cast<unsigned>((m.columns + tile - 1) / tile),
          .threads = kWarpSize * kRowLanes,
          .blocks_y = static_cast<unsigned>(slices)},
         partial_sums_kernel<kKind, kPack, T>, m);
  launch(s, grid_of(m.columns * kCount, c), total_sums_kernel<T>,
         Totals<T>{m.partial, {out[0], out[1]}, m.columns, slices, kCount, accumulate});
}

template <Sums kKind, typename T>
void column_sums(const ColumnWork<T>& m, const std::array<T*, 2>& out, bool accumulate,
                 const CudaStreamContext& c, cudaStream_t s) {
  constexpr int kPack = kPackSize<T>;
  if (m.columns % kPack == 0 && packable({m.dy, m.x})) {
    column_sums<kKind, kPack>(m, out, accumulate, c, s);
  } else {
    column_sums<kKind, 1>(m, out, accumulate, c, s);
  }
}

template <Sums kKind>
void norm_weights(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    ColumnWork<T> m;
    m.x = t.in(0);
    m.statistics = t.words_in(1);
    m.dy = t.in(2);
    m.rows = o.shape[0];
    m.columns = o.shape[1];
    const std::array<T*, 2> out{t.out(0), kOutputs<kKind> == 2 ? t.out(1) : nullptr};
    column_sums<kKind>(m, out, o.accumulate, c, s);
  });
}

}  // namespace

void cuda_bias_add_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                   cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    ColumnWork<T> m;
    m.dy = t.in(0);
    m.rows = o.shape[0];
    m.columns = o.shape[1];
    column_sums<Sums::plain>(m, {t.out(0), nullptr}, o.accumulate, c, s);
  });
}

void cuda_linear_bias_gradient(const KernelOperands& o, const CudaStreamContext& c,
                               cudaStream_t s) {
  const KernelOperands sums{.reads = {o.reads[1]},
                            .writes = {o.writes[1]},
                            .shape = {o.shape[0], o.shape[2], 0},
                            .dtype = o.dtype,
                            .accumulate = o.accumulate};
  cuda_bias_add_backward_weight(sums, c, s);
}

void cuda_layer_norm_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                     cudaStream_t s) {
  norm_weights<Sums::layer_norm>(o, c, s);
}
void cuda_rms_norm_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                   cudaStream_t s) {
  norm_weights<Sums::rms_norm>(o, c, s);
}

}  // namespace foreplan
