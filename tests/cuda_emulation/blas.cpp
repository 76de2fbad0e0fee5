#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>
#include <memory>
#include <vector>

#include "tests/cuda_emulation/streams.hpp"

// cuBLASLt as far as the runtime uses it: column-major products of fp32, fp16 and bf16, summed in
// fp32 (tf32: of numbers cut to 10 bits), with beta and an optional bias.
namespace {

struct Product {
  cublasComputeType_t compute{};
  bool transposed_a = false, transposed_b = false;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  cudaDataType_t bias_type = CUDA_R_32F;
};

struct Layout {
  cudaDataType_t type{};
  std::uint64_t rows = 0, columns = 0;
  std::int64_t leading = 0;
};

template <typename T, typename Opaque>
T& real(Opaque* opaque) {
  return *reinterpret_cast<T*>(opaque);
}

float load(const void* data, std::size_t i, cudaDataType_t type) {
  switch (type) {
    case CUDA_R_16F:
      return __half2float(static_cast<const __half*>(data)[i]);
    case CUDA_R_16BF:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
    default:
      return static_cast<const float*>(data)[i];
  }
}

void store(void* data, std::size_t i, cudaDataType_t type, float value) {
  switch (type) {
    case CUDA_R_16F:
      static_cast<__half*>(data)[i] = __float2half(value);
      break;
    case CUDA_R_16BF:
      static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16(value);
      break;
    default:
      static_cast<float*>(data)[i] = value;
  }
}

float cut(float value, cublasComputeType_t compute) {
  if (compute != CUBLAS_COMPUTE_32F_FAST_TF32) return value;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits &= 0xffffe000U;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

struct Call {
  Product product;
  Layout a, b, c;
  const void* a_data;
  const void* b_data;
  void* c_data;
  float alpha, beta;
};

float element(const Layout& layout, const void* data, std::uint64_t row, std::uint64_t column) {
  return load(data, row + column * static_cast<std::uint64_t>(layout.leading), layout.type);
}

void compute(const Call& call) {
  const std::uint64_t depth = call.product.transposed_a ? call.a.rows : call.a.columns;
  for (std::uint64_t column = 0; column < call.c.columns; ++column) {
    for (std::uint64_t row = 0; row < call.c.rows; ++row) {
      double total = 0;
      for (std::uint64_t i = 0; i < depth; ++i) {
        const float a = call.product.transposed_a ? element(call.a, call.a_data, i, row)
                                                  : element(call.a, call.a_data, row, i);
        const float b = call.product.transposed_b ? element(call.b, call.b_data, column, i)
                                                  : element(call.b, call.b_data, i, column);
        total += static_cast<double>(cut(a, call.product.compute)) *
                 static_cast<double>(cut(b, call.product.compute));
      }
      float value = call.alpha * static_cast<float>(total);
      if (call.product.epilogue == CUBLASLT_EPILOGUE_BIAS) {
        value += load(call.product.bias, row, call.product.bias_type);
      }
      const std::size_t at = row + column * static_cast<std::uint64_t>(call.c.leading);
      if (call.beta != 0.0F) value += call.beta * load(call.c_data, at, call.c.type);
      store(call.c_data, at, call.c.type, value);
    }
  }
}

bool fits(const Layout& stored, bool transposed, std::uint64_t rows, std::uint64_t columns) {
  return transposed ? stored.rows == columns && stored.columns == rows
                    : stored.rows == rows && stored.columns == columns;
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_NOT_SUPPORTED";
}
std::size_t cublasLtGetVersion() { return 130000; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t compute,
                                        cudaDataType_t) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Product{.compute = compute});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t made) {
  delete &real<Product>(made);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t made,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t) {
  Product& product = real<Product>(made);
  const auto transposed = [&] {
    return *static_cast<const cublasOperation_t*>(value) == CUBLAS_OP_T;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      product.transposed_a = transposed();
      break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      product.transposed_b = transposed();
      break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      product.epilogue = *static_cast<const cublasLtEpilogue_t*>(value);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      product.bias = *static_cast<const void* const*>(value);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      product.bias_type = *static_cast<const cudaDataType_t*>(value);
      break;
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType_t type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t leading) {
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, leading});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t made) {
  delete &real<Layout>(made);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t made) {
  delete reinterpret_cast<int*>(made);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, std::size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* returned) {
  *returned = wanted > 0 ? 1 : 0;
  results[0] = {};
  results[0].state = CUBLAS_STATUS_SUCCESS;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t*,
                                                    cublasLtMatmulAlgoConfigAttributes_t,
                                                    void* value, std::size_t size,
                                                    std::size_t* written) {
  std::memset(value, 0, size);
  if (written != nullptr) *written = size;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t*, void*, std::size_t,
                              cudaStream_t stream) {
  if (foreplan::emulation::settings().failing_call == "cublasLtMatmul") {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const Call call{.product = real<Product>(description),
                  .a = real<Layout>(a_layout),
                  .b = real<Layout>(b_layout),
                  .c = real<Layout>(d_layout),
                  .a_data = a,
                  .b_data = b,
                  .c_data = d,
                  .alpha = *static_cast<const float*>(alpha),
                  .beta = *static_cast<const float*>(beta)};
  const std::uint64_t depth = call.product.transposed_a ? call.a.rows : call.a.columns;
  if (c != d || !fits(call.a, call.product.transposed_a, call.c.rows, depth) ||
      !fits(call.b, call.product.transposed_b, depth, call.c.columns)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const cudaError_t status = foreplan::emulation::put(
      stream, {.kind = foreplan::emulation::Kind::kernel}, [call] { compute(call); });
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
