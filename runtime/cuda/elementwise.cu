#include <cmath>

#include "runtime/cuda/typed.cuh"

namespace foreplan {
namespace {

/// y[i] (+)= f(x_0[i], x_1[i], ...) over n elements.
template <typename T, int kInputs, typename F>
struct Map {
  const T* in[kInputs];
  T* out;
  std::int64_t n;
  bool accumulate;
  F f;
};

template <int kPack, typename T, int kInputs, typename F>
__device__ void map_at(const Map<T, kInputs, F>& m, std::int64_t i) {
  Numbers<kPack> x[kInputs];
#pragma unroll
  for (int input = 0; input < kInputs; ++input) x[input] = load<kPack>(m.in[input] + i);
  Numbers<kPack> y;
#pragma unroll
  for (int element = 0; element < kPack; ++element) {
    if constexpr (kInputs == 1) {
      y.values[element] = m.f(x[0].values[element]);
    } else {
      y.values[element] = m.f(x[0].values[element], x[1].values[element]);
    }
  }
  put<kPack>(m.out + i, y, m.accumulate);
}

template <int kPack, typename T, int kInputs, typename F>
__global__ void map_kernel(Map<T, kInputs, F> m) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t threads = std::int64_t{gridDim.x} * blockDim.x;
  const std::int64_t packs = m.n / kPack;
  for (std::int64_t i = thread; i < packs; i += threads) map_at<kPack>(m, i * kPack);
  const std::int64_t rest = packs * kPack + thread;
  if (rest < m.n) map_at<1>(m, rest);
}

template <typename T, int kInputs, typename F>
void map(const Map<T, kInputs, F>& m, const CudaStreamContext& c, cudaStream_t stream) {
  bool packed = packable({m.out});
  for (const T* input : m.in) packed = packed && packable({input});
  constexpr int kPack = kPackSize<T>;
  if (packed && m.n >= kPack) {
    launch(stream, grid_of(m.n / kPack, c), map_kernel<kPack, T, kInputs, F>, m);
  } else {
    launch(stream, grid_of(m.n, c), map_kernel<1, T, kInputs, F>, m);
  }
}

template <typename F>
void unary(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s, F f) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    map<T, 1, F>({{t.in(0)}, t.out(0), o.shape[0], o.accumulate, f}, c, s);
  });
}

template <typename F>
void binary(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s, F f) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    map<T, 2, F>({{t.in(0), t.in(1)}, t.out(0), o.shape[0], o.accumulate, f}, c, s);
  });
}

struct Same {
  __device__ float operator()(float x) const { return x; }
};
struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Relu {
  __device__ float operator()(float x) const { return x > 0.0F ? x : 0.0F; }
};
struct ReluBack {
  __device__ float operator()(float y, float dy) const { return y > 0.0F ? dy : 0.0F; }
};

/// Phi(x), the share of a normal distribution below x.
__device__ float normal_below(float x) { return 0.5F * (1.0F + erff(x * 0.70710678F)); }

struct Gelu {
  __device__ float operator()(float x) const { return x * normal_below(x); }
};
// d/dx x Phi(x) = Phi(x) + x phi(x).
struct GeluBack {
  __device__ float operator()(float x, float dy) const {
    const float density = 0.39894228F * expf(-0.5F * x * x);
    return dy * (normal_below(x) + x * density);
  }
};

/// Rows of `width` elements, read `read_stride` apart by groups and written `write_stride` apart.
template <typename T>
struct Columns {
  const T* in;
  T* out;
  std::int64_t rows, width, parts;
  std::int64_t read_row, read_part;    ///< strides of the input
  std::int64_t write_row, write_part;  ///< strides of the output
  bool accumulate;
};

template <int kPack, typename T>
__global__ void columns_kernel(Columns<T> m) {
  const std::int64_t width = m.width / kPack;
  const std::int64_t all = m.rows * m.parts * width;
  const std::int64_t threads = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < all; i += threads) {
    const std::int64_t column = i % width * kPack;
    const std::int64_t part = i / width % m.parts;
    const std::int64_t row = i / width / m.parts;
    put<kPack>(m.out + row * m.write_row + part * m.write_part + column,
               load<kPack>(m.in + row * m.read_row + part * m.read_part + column), m.accumulate);
  }
}

template <typename T>
void columns(const Columns<T>& m, const CudaStreamContext& c, cudaStream_t stream) {
  constexpr int kPack = kPackSize<T>;
  const bool packed = packable({m.in, m.out}) && m.width % kPack == 0 && m.read_row % kPack == 0;
  const std::int64_t all = m.rows * m.parts * m.width;
  if (packed) {
    launch(stream, grid_of(all / kPack, c), columns_kernel<kPack, T>, m);
  } else {
    launch(stream, grid_of(all, c), columns_kernel<1, T>, m);
  }
}

template <typename T>
struct Bias {
  const T* x;
  const T* bias;
  T* y;
  std::int64_t rows, columns;
  bool accumulate;
};

template <int kPack, typename T>
__global__ void bias_kernel(Bias<T> m) {
  const std::int64_t packs = m.rows * m.columns / kPack;
  const std::int64_t threads = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < packs;
       i += threads) {
    Numbers<kPack> y = load<kPack>(m.x + i * kPack);
    const Numbers<kPack> b = load<kPack>(m.bias + i * kPack % m.columns);
#pragma unroll
    for (int element = 0; element < kPack; ++element) y.values[element] += b.values[element];
    put<kPack>(m.y + i * kPack, y, m.accumulate);
  }
}

// v = momentum v + g; w -= rate v. Source: Sutskever et al., ICML 2013, as frameworks write it.
struct Sgd {
  static constexpr int kMoments = 1;
  __device__ void operator()(const CudaStep& step, float g, float& w, float* moments) const {
    moments[0] = step.momentum * moments[0] + g;
    w -= step.rate * moments[0];
  }
};

// Source: Kingma and Ba, ICLR 2015, algorithm 1.
struct Adam {
  static constexpr int kMoments = 2;
  __device__ void operator()(const CudaStep& step, float g, float& w, float* moments) const {
    moments[0] = step.beta1 * moments[0] + step.rest1 * g;
    moments[1] = step.beta2 * moments[1] + step.rest2 * g * g;
    w -= step.unbiased_rate * moments[0] / (sqrtf(moments[1] * step.unbias2) + step.epsilon);
  }
};

template <typename T, typename Rule>
struct Update {
  const T* gradient;
  T* weight;
  float* moments[Rule::kMoments];
  std::int64_t n;
  const CudaStep* step;
};

template <int kPack, typename T, typename Rule>
__device__ void update_at(const Update<T, Rule>& m, const CudaStep& step, std::int64_t i) {
  constexpr int kMoments = Rule::kMoments;
  const Numbers<kPack> g = load<kPack>(m.gradient + i);
  Numbers<kPack> w = load<kPack>(m.weight + i);
  Numbers<kPack> moments[kMoments];
#pragma unroll
  for (int k = 0; k < kMoments; ++k) moments[k] = load<kPack>(m.moments[k] + i);
#pragma unroll
  for (int element = 0; element < kPack; ++element) {
    float own[kMoments];
#pragma unroll
    for (int k = 0; k < kMoments; ++k) own[k] = moments[k].values[element];
    Rule{}(step, g.values[element], w.values[element], own);
#pragma unroll
    for (int k = 0; k < kMoments; ++k) moments[k].values[element] = own[k];
  }
  store<kPack>(m.weight + i, w);
#pragma unroll
  for (int k = 0; k < kMoments; ++k) store<kPack>(m.moments[k] + i, moments[k]);
}

// Four elements at a time: the moments are fp32 whatever the weights are.
template <int kPack, typename T, typename Rule>
__global__ void update_kernel(Update<T, Rule> m) {
  const CudaStep step = *m.step;
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t threads = std::int64_t{gridDim.x} * blockDim.x;
  const std::int64_t packs = m.n / kPack;
  for (std::int64_t i = thread; i < packs; i += threads) update_at<kPack>(m, step, i * kPack);
  const std::int64_t rest = packs * kPack + thread;
  if (rest < m.n) update_at<1>(m, step, rest);
}

template <typename Rule>
void update(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    Update<T, Rule> m{t.in(0), t.out(0), {}, o.shape[0], c.step};
    bool packed = packable({m.gradient, m.weight});
    for (int k = 0; k < Rule::kMoments; ++k) {
      m.moments[k] = t.words_out(static_cast<std::size_t>(k) + 1);
      packed = packed && packable({m.moments[k]});
    }
    if (packed && m.n >= 4) {
      launch(s, grid_of(m.n / 4, c), update_kernel<4, T, Rule>, m);
    } else {
      launch(s, grid_of(m.n, c), update_kernel<1, T, Rule>, m);
    }
  });
}

}  // namespace

void cuda_bias_add_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  typed(o, [&]<typename T>(const Typed<T>& t) {
    const Bias<T> m{t.in(0), t.in(1), t.out(0), o.shape[0], o.shape[1], o.accumulate};
    constexpr int kPack = kPackSize<T>;
    const std::int64_t all = m.rows * m.columns;
    if (packable({m.x, m.bias, m.y}) && m.columns % kPack == 0) {
      launch(s, grid_of(all / kPack, c), bias_kernel<kPack, T>, m);
    } else {
      launch(s, grid_of(all, c), bias_kernel<1, T>, m);
    }
  });
}

void cuda_relu_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  unary(o, c, s, Relu{});
}
void cuda_relu_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  binary(o, c, s, ReluBack{});
}
void cuda_gelu_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  unary(o, c, s, Gelu{});
}
void cuda_gelu_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  binary(o, c, s, GeluBack{});
}
void cuda_add_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  binary(o, c, s, Add{});
}
void cuda_copy_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  unary(o, c, s, Same{});
}
void cuda_accumulate_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  KernelOperands more = o;
  more.accumulate = true;
  unary(more, c, s, Same{});
}

void cuda_gather_columns_forward(const KernelOperands& o, const CudaStreamContext& c,
                                 cudaStream_t s) {
  const auto [rows, n, parts] = o.shape;
  const std::int64_t width = n / parts;
  const bool accumulate = o.accumulate;
  typed(o, [&, rows = rows, n = n, parts = parts]<typename T>(const Typed<T>& t) {
    columns<T>({t.in(0), t.out(0), rows, width, parts, width, rows * width, n, width, accumulate},
               c, s);
  });
}

void cuda_gather_columns_backward(const KernelOperands& o, const CudaStreamContext& c,
                                  cudaStream_t s) {
  const auto [rows, n, parts] = o.shape;
  const std::int64_t width = n / parts;
  const bool accumulate = o.accumulate;
  typed(o, [&, rows = rows, n = n]<typename T>(const Typed<T>& t) {
    columns<T>({t.in(0), t.out(0), rows, width, 1, n, 0, width, 0, accumulate}, c, s);
  });
}

void cuda_sgd(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  update<Sgd>(o, c, s);
}
void cuda_adam(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s) {
  update<Adam>(o, c, s);
}

}  // namespace foreplan
