#include "runtime/cuda/cuda_call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "runtime/cuda/kernel_entry.hpp"
#include "runtime/cuda/product.hpp"
#include "models/operands.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using Reads = std::vector<const std::byte*>;
using Writes = std::vector<std::byte*>;

struct KernelEntry {
  std::string_view op;
  Pass pass;
  Kernel kernel;
  int classes_at = -1;  ///< which number of the shape says how many labels there are
};

constexpr auto kKernels = std::to_array<KernelEntry>({
    {"bias_add", Pass::forward, cuda_bias_add_forward},
    {"bias_add", Pass::backward_weight, cuda_bias_add_backward_weight},
    {"relu", Pass::forward, cuda_relu_forward},
    {"relu", Pass::backward_input, cuda_relu_backward},
    {"gelu", Pass::forward, cuda_gelu_forward},
    {"gelu", Pass::backward_input, cuda_gelu_backward},
    {"layer_norm", Pass::forward, cuda_layer_norm_forward},
    {"layer_norm", Pass::backward_input, cuda_layer_norm_backward_input},
    {"layer_norm", Pass::backward_weight, cuda_layer_norm_backward_weight},
    {"rms_norm", Pass::forward, cuda_rms_norm_forward},
    {"rms_norm", Pass::backward_input, cuda_rms_norm_backward_input},
    {"rms_norm", Pass::backward_weight, cuda_rms_norm_backward_weight},
    {"softmax", Pass::forward, cuda_softmax_forward},
    {"softmax", Pass::backward_input, cuda_softmax_backward},
    {"embedding", Pass::forward, cuda_embedding_forward, 1},
    {"embedding", Pass::backward_weight, cuda_embedding_backward_weight, 1},
    {"add", Pass::forward, cuda_add_forward},
    {"accumulate", Pass::forward, cuda_accumulate_forward},
    {"copy", Pass::forward, cuda_copy_forward},
    {"gather_columns", Pass::forward, cuda_gather_columns_forward},
    {"gather_columns", Pass::backward_input, cuda_gather_columns_backward},
    {"softmax_cross_entropy", Pass::forward, cuda_softmax_cross_entropy_forward, 1},
    {"softmax_cross_entropy", Pass::backward_input, cuda_softmax_cross_entropy_backward, 1},
    {"sgd", Pass::optimizer, cuda_sgd},
    {"adam", Pass::optimizer, cuda_adam},
});

class KernelCall final : public CudaCall {
 public:
  KernelCall(const KernelEntry& entry, const KernelOperands& operands,
             const CudaStreamContext& context)
      : entry_(entry), operands_(operands), context_(context) {}
  void enqueue(cudaStream_t stream) const override { entry_.kernel(operands_, context_, stream); }
  std::int64_t classes() const override {
    if (entry_.classes_at < 0) return 0;
    return operands_.shape[static_cast<std::size_t>(entry_.classes_at)];
  }

 private:
  const KernelEntry& entry_;
  KernelOperands operands_;
  CudaStreamContext context_;
};

/// backward_weight of linear: the product and, behind it, the gradient of the bias.
class LinearWeightCall final : public CudaCall {
 public:
  LinearWeightCall(const CudaStreamContext& context, const CudaProduct& product,
                   const KernelOperands& operands)
      : context_(context),
        product_(make_cuda_product(context, product)),
        operands_(operands) {}
  void enqueue(cudaStream_t stream) const override {
    product_->enqueue(stream);
    cuda_linear_bias_gradient(operands_, context_, stream);
  }
  std::string choice() const override { return product_->choice(); }

 private:
  CudaStreamContext context_;
  std::unique_ptr<CudaCall> product_;
  KernelOperands operands_;
};

void check_operands(const OpKey& key, const Reads& reads, const Writes& writes) {
  const OperandBytes expected = operand_bytes(key);
  if (key.dtype == DType::fp8) {
    reject(fmt::format("{}: kernels take fp32, tf32, fp16 and bf16", format(key)));
  }
  if (reads.size() == expected.reads.size() && writes.size() == expected.writes.size()) return;
  reject(fmt::format("{}: expected {} reads and {} writes, got {} and {}", format(key),
                     expected.reads.size(), expected.writes.size(), reads.size(), writes.size()));
}

KernelOperands operands_of(const OpKey& key, const Reads& reads, const Writes& writes) {
  KernelOperands operands{.dtype = key.dtype, .accumulate = key.accumulate};
  std::copy(reads.begin(), reads.end(), operands.reads.begin());
  std::copy(writes.begin(), writes.end(), operands.writes.begin());
  std::copy(key.shape.begin(), key.shape.end(), operands.shape.begin());
  return operands;
}

}  // namespace

std::unique_ptr<CudaCall> make_cuda_call(const CudaStreamContext& context, const Op& op,
                                         std::vector<const std::byte*> reads,
                                         std::vector<std::byte*> writes) {
  const OpKey& key = op.key;
  check_operands(key, reads, writes);
  if (key.op == "linear" && key.pass == Pass::backward_weight) {
    return std::make_unique<LinearWeightCall>(context, product_of(key, reads, writes),
                                              operands_of(key, reads, writes));
  }
  if (key.op == "linear" || key.op == "matmul") {
    return make_cuda_product(context, product_of(key, reads, writes));
  }
  const auto* entry = std::find_if(kKernels.begin(), kKernels.end(), [&](const KernelEntry& e) {
    return e.op == key.op && e.pass == key.pass;
  });
  if (entry == kKernels.end()) reject(fmt::format("{}: no CUDA kernel", format(key)));
  const KernelOperands operands = operands_of(key, reads, writes);
  if (key.op == "softmax_cross_entropy" && loss_workspace(operands) > context.workspace_bytes) {
    reject(fmt::format("{}: more rows than the workspace of a stream holds", format(key)));
  }
  return std::make_unique<KernelCall>(*entry, operands, context);
}

}  // namespace foreplan
