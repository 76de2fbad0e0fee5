#include "runtime/cuda/product.hpp"

#include <cublasLt.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "runtime/cuda/check.hpp"
#include "runtime/cuda/handles.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using Description = CudaHandle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = CudaHandle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = CudaHandle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t data_type(DType dtype) {
  if (dtype == DType::fp16) return CUDA_R_16F;
  if (dtype == DType::bf16) return CUDA_R_16BF;
  return CUDA_R_32F;
}

template <typename T>
void set(const Description& description, cublasLtMatmulDescAttributes_t attribute, T value) {
  check(cublasLtMatmulDescSetAttribute(description.get(), attribute, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}

template <typename T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

// cuBLASLt stores by columns: there our row-major C = A B is C' = B' A', each operand as it lies.
Description describe(const CudaProduct& p) {
  const auto compute =
      p.dtype == DType::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  cublasLtMatmulDesc_t made{};
  check(cublasLtMatmulDescCreate(&made, compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
  Description description(made);
  set(description, CUBLASLT_MATMUL_DESC_TRANSA, p.transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(description, CUBLASLT_MATMUL_DESC_TRANSB, p.transposed_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.bias == nullptr) return description;
  set(description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  set(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(p.bias));
  set(description, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, data_type(p.dtype));
  return description;
}

/// A row-major matrix as it lies: its transpose, by columns.
Layout lay_out(std::int64_t rows, std::int64_t columns, bool transposed, DType dtype) {
  if (transposed) std::swap(rows, columns);
  cublasLtMatrixLayout_t made{};
  check(cublasLtMatrixLayoutCreate(&made, data_type(dtype), static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), columns),
        "cublasLtMatrixLayoutCreate");
  return Layout(made);
}

/// The largest power of two, up to 256, that divides an address.
std::uint32_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  std::uint32_t bytes = 256;
  while (address % bytes != 0) bytes /= 2;
  return bytes;
}

template <typename T>
T property(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
  T value{};
  check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, nullptr),
        "cublasLtMatmulAlgoConfigGetAttribute");
  return value;
}

class ProductCall final : public CudaCall {
 public:
  ProductCall(const CudaStreamContext& context, const CudaProduct& product)
      : context_(context),
        product_(product),
        description_(describe(product)),
        a_(lay_out(product.m, product.k, product.transposed_a, product.dtype)),
        b_(lay_out(product.k, product.n, product.transposed_b, product.dtype)),
        c_(lay_out(product.m, product.n, false, product.dtype)) {
    choose();
  }

  void enqueue(cudaStream_t stream) const override {
    const float one = 1.0F;
    const float beta = product_.accumulate ? 1.0F : 0.0F;
    check(cublasLtMatmul(context_.blas, description_.get(), &one, product_.b, b_.get(), product_.a,
                         a_.get(), &beta, product_.c, c_.get(), product_.c, c_.get(), &algorithm_,
                         context_.workspace, context_.workspace_bytes, stream),
          "cublasLtMatmul");
  }

  std::string choice() const override {
    return fmt::format("algorithm {} tile {} stages {} split-k {}",
                       property<std::int32_t>(algorithm_, CUBLASLT_ALGO_CONFIG_ID),
                       property<std::uint32_t>(algorithm_, CUBLASLT_ALGO_CONFIG_TILE_ID),
                       property<std::uint32_t>(algorithm_, CUBLASLT_ALGO_CONFIG_STAGES_ID),
                       property<std::int32_t>(algorithm_, CUBLASLT_ALGO_CONFIG_SPLITK_NUM));
  }

 private:
  Preference preference() const {
    cublasLtMatmulPreference_t made{};
    check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
    Preference preference(made);
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
        static_cast<std::uint64_t>(context_.workspace_bytes));
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_MASK) &
            ~static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_INPLACE));
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(product_.b));
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(product_.a));
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(product_.c));
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(product_.c));
    return preference;
  }

  void choose() {
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        context_.blas, description_.get(), b_.get(), a_.get(), c_.get(), c_.get(),
        preference().get(), 1, &result, &found);
    if (status != CUBLAS_STATUS_SUCCESS || found == 0 || result.state != CUBLAS_STATUS_SUCCESS) {
      throw Error(ErrorCode::unavailable,
                  fmt::format("cuBLASLt has no product [{}x{}]x[{}x{}] {}: {}", product_.m,
                              product_.k, product_.k, product_.n, name(product_.dtype),
                              cublasLtGetStatusName(status)));
    }
    algorithm_ = result.algo;
  }

  CudaStreamContext context_;
  CudaProduct product_;
  Description description_;
  Layout a_, b_, c_;
  cublasLtMatmulAlgo_t algorithm_{};
};

}  // namespace

CudaProduct product_of(const OpKey& key, const std::vector<const std::byte*>& reads,
                       const std::vector<std::byte*>& writes) {
  const std::int64_t m = key.shape[0], k = key.shape[1], n = key.shape[2];
  CudaProduct p{.accumulate = key.accumulate,
                .dtype = key.dtype,
                .a = reads[0],
                .b = reads[1],
                .c = writes[0]};
  if (key.pass == Pass::forward) {
    p.m = m, p.k = k, p.n = n;
    if (key.op == "linear") p.bias = reads[2];
  } else if (key.pass == Pass::backward_input) {
    p.m = m, p.k = n, p.n = k, p.transposed_b = true;
  } else {
    p.m = k, p.k = m, p.n = n, p.transposed_a = true;
  }
  return p;
}

std::unique_ptr<CudaCall> make_cuda_product(const CudaStreamContext& context,
                                            const CudaProduct& product) {
  return std::make_unique<ProductCall>(context, product);
}

}  // namespace foreplan
