#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "runtime/cuda/cuda_call.hpp"

namespace foreplan {

/// What a kernel works on: operands and shape as the table in models/op_cost.hpp orders them.
struct KernelOperands {
  std::array<const std::byte*, 4> reads{};
  std::array<std::byte*, 3> writes{};
  std::array<std::int64_t, 3> shape{};
  DType dtype = DType::fp32;
  bool accumulate = false;
};

/// Puts an op's kernels on a stream.
using Kernel = void (*)(const KernelOperands&, const CudaStreamContext&, cudaStream_t);

// One function an op and pass; cuda_call.cpp lists them by name.
void cuda_bias_add_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_relu_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_relu_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_gelu_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_gelu_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_add_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_accumulate_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_copy_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_gather_columns_forward(const KernelOperands& o, const CudaStreamContext& c,
                                 cudaStream_t s);
void cuda_gather_columns_backward(const KernelOperands& o, const CudaStreamContext& c,
                                  cudaStream_t s);

void cuda_layer_norm_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_layer_norm_backward_input(const KernelOperands& o, const CudaStreamContext& c,
                                    cudaStream_t s);
void cuda_rms_norm_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_rms_norm_backward_input(const KernelOperands& o, const CudaStreamContext& c,
                                  cudaStream_t s);
void cuda_softmax_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_softmax_backward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_softmax_cross_entropy_forward(const KernelOperands& o, const CudaStreamContext& c,
                                        cudaStream_t s);
void cuda_softmax_cross_entropy_backward(const KernelOperands& o, const CudaStreamContext& c,
                                         cudaStream_t s);

void cuda_bias_add_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                   cudaStream_t s);
/// db of linear.backward_weight [m, k, n]: reads x, dy; writes dW, db.
void cuda_linear_bias_gradient(const KernelOperands& o, const CudaStreamContext& c,
                               cudaStream_t s);
void cuda_layer_norm_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                     cudaStream_t s);
void cuda_rms_norm_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                   cudaStream_t s);

void cuda_embedding_forward(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_embedding_backward_weight(const KernelOperands& o, const CudaStreamContext& c,
                                    cudaStream_t s);

void cuda_sgd(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);
void cuda_adam(const KernelOperands& o, const CudaStreamContext& c, cudaStream_t s);

/// How many bytes of the stream's workspace the op's kernels want.
std::size_t loss_workspace(const KernelOperands& o);

}  // namespace foreplan
