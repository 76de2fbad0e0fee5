#include "runtime/host_kernels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "runtime/host_gemm.hpp"
#include "runtime/host_loops.hpp"
#include "models/operands.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

struct LoopEntry {
  std::string_view op;
  Pass pass;
  Loop loop;
};

constexpr std::array kLoops{
    LoopEntry{"bias_add", Pass::forward, bias_add_forward},
    LoopEntry{"bias_add", Pass::backward_weight, bias_add_backward_weight},
    LoopEntry{"relu", Pass::forward, relu_forward},
    LoopEntry{"relu", Pass::backward_input, relu_backward},
    LoopEntry{"gelu", Pass::forward, gelu_forward},
    LoopEntry{"gelu", Pass::backward_input, gelu_backward},
    LoopEntry{"layer_norm", Pass::forward, layer_norm_forward},
    LoopEntry{"layer_norm", Pass::backward_input, layer_norm_backward_input},
    LoopEntry{"layer_norm", Pass::backward_weight, layer_norm_backward_weight},
    LoopEntry{"rms_norm", Pass::forward, rms_norm_forward},
    LoopEntry{"rms_norm", Pass::backward_input, rms_norm_backward_input},
    LoopEntry{"rms_norm", Pass::backward_weight, rms_norm_backward_weight},
    LoopEntry{"softmax", Pass::forward, softmax_forward},
    LoopEntry{"softmax", Pass::backward_input, softmax_backward},
    LoopEntry{"embedding", Pass::forward, embedding_forward},
    LoopEntry{"embedding", Pass::backward_weight, embedding_backward_weight},
    LoopEntry{"add", Pass::forward, add_forward},
    LoopEntry{"accumulate", Pass::forward, accumulate_forward},
    LoopEntry{"copy", Pass::forward, copy_forward},
    LoopEntry{"gather_columns", Pass::forward, gather_columns_forward},
    LoopEntry{"gather_columns", Pass::backward_input, gather_columns_backward},
    LoopEntry{"softmax_cross_entropy", Pass::forward, softmax_cross_entropy_forward},
    LoopEntry{"softmax_cross_entropy", Pass::backward_input, softmax_cross_entropy_backward},
    LoopEntry{"sgd", Pass::optimizer, sgd_step},
    LoopEntry{"adam", Pass::optimizer, adam_step},
};

class LoopCall final : public HostCall {
 public:
  LoopCall(Loop loop, const LoopOperands& operands) : loop_(loop), operands_(operands) {}
  void run(const StepContext& context) override { loop_(operands_, context); }

 private:
  Loop loop_;
  LoopOperands operands_;
};

using Reads = std::vector<const std::byte*>;
using Writes = std::vector<std::byte*>;

/// The product inside a linear or matmul task of shape [m, k, n].
MatrixProduct product_of(const OpKey& key, const Reads& reads, const Writes& writes) {
  const std::int64_t m = key.shape[0], k = key.shape[1], n = key.shape[2];
  MatrixProduct p{.accumulate = key.accumulate, .a = reads[0], .b = reads[1], .c = writes[0]};
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

/// backward_weight of linear: the product and, with it, the gradient of the bias.
class LinearWeightCall final : public HostCall {
 public:
  LinearWeightCall(const OpKey& key, const Reads& reads, const Writes& writes)
      : product_(make_product(product_of(key, reads, writes))),
        dy_(reinterpret_cast<const float*>(reads[1])),
        db_(reinterpret_cast<float*>(writes[1])),
        shape_{key.shape[0], key.shape[2]},
        accumulate_(key.accumulate) {}

  void run(const StepContext& context) override {
    product_->run(context);
    sum_rows(dy_, db_, shape_, accumulate_);
  }

 private:
  std::unique_ptr<HostCall> product_;
  const float* dy_;
  float* db_;
  std::array<std::int64_t, 2> shape_;
  bool accumulate_;
};

void check_operands(const OpKey& key, const Reads& reads, const Writes& writes) {
  const OperandBytes expected = operand_bytes(key);
  if (key.dtype != DType::fp32) reject(fmt::format("{}: host kernels take fp32 only", format(key)));
  if (reads.size() == expected.reads.size() && writes.size() == expected.writes.size()) return;
  reject(fmt::format("{}: expected {} reads and {} writes, got {} and {}", format(key),
                     expected.reads.size(), expected.writes.size(), reads.size(), writes.size()));
}

std::unique_ptr<HostCall> make_loop(const OpKey& key, const Reads& reads, const Writes& writes) {
  const auto* entry = std::find_if(kLoops.begin(), kLoops.end(), [&](const LoopEntry& candidate) {
    return candidate.op == key.op && candidate.pass == key.pass;
  });
  if (entry == kLoops.end()) reject(fmt::format("{}: no host kernel", format(key)));
  LoopOperands operands{.accumulate = key.accumulate};
  std::copy(reads.begin(), reads.end(), operands.reads.begin());
  std::copy(writes.begin(), writes.end(), operands.writes.begin());
  std::copy(key.shape.begin(), key.shape.end(), operands.shape.begin());
  return std::make_unique<LoopCall>(entry->loop, operands);
}

}  // namespace

std::unique_ptr<HostCall> make_host_call(const Op& op, std::vector<const std::byte*> reads,
                                         std::vector<std::byte*> writes) {
  const OpKey& key = op.key;
  check_operands(key, reads, writes);
  if (key.op == "linear" && key.pass == Pass::backward_weight) {
    return std::make_unique<LinearWeightCall>(key, reads, writes);
  }
  if (key.op == "linear" || key.op == "matmul") {
    return make_product(product_of(key, reads, writes));
  }
  return make_loop(key, reads, writes);
}

}  // namespace foreplan
