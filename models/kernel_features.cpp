#include "models/kernel_features.hpp"

#include <algorithm>

#include "sim/kernel_model.hpp"

namespace foreplan {
namespace {

/// What an operator-by-operator implementation moves and launches.
struct Eager {
  double fixed = 0;     ///< bytes an element, whatever its type
  double elements = 0;  ///< times the size of an element
  double kernels = 1;
};

double elements_of(const OpKey& key) {
  double product = 1;
  for (const std::int64_t size : key.shape) product *= static_cast<double>(size);
  return product;
}

void replace(Op& op, const Eager& eager) {
  const auto size = static_cast<double>(element_size(op.key.dtype).count);
  const double bytes = elements_of(op.key) * (eager.fixed + eager.elements * size);
  op.traffic = std::max(op.traffic, Bytes{static_cast<std::int64_t>(bytes)});
  op.launches = eager.kernels;
}

void unfuse_norm(Op& op) {
  if (op.key.pass == Pass::forward) return replace(op, {.fixed = 24, .elements = 4, .kernels = 7});
  if (op.key.pass == Pass::backward_weight) return replace(op, {.elements = 3, .kernels = 2});
  replace(op, {.fixed = 48, .elements = 4, .kernels = 9});
}

void unfuse_loss(Op& op) {
  const bool forward = op.key.pass == Pass::forward;
  replace(op, {.fixed = forward ? 12.0 : 20.0, .elements = 1, .kernels = 3});
}

void unfuse_gate(Op& op) {
  if (op.key.pass == Pass::forward) return replace(op, {.elements = 5, .kernels = 2});
  replace(op, {.elements = 9, .kernels = 3});
}

void unfuse_optimizer(Op& op) {
  op.traffic = Bytes{op.traffic.count * 5 / 2};
  op.launches = 8;
}

/// Routing and experts as Megatron-Core runs them: a product for each expert unless fused, some small kernels around
/// them.
void launch_experts(const KernelFeatures& features, Op& op) {
  const std::string& name = op.key.op;
  if (name == "expert_linear" && !features.fused_experts) {
    op.launches = static_cast<double>(op.product.batch);
  }
  if (name == "top_k") op.launches = 20;
  if (name == "dispatch" || name == "combine") op.launches = 10;
}

void skip_masked(Op& op) {
  const double keys = static_cast<double>(op.product.n);
  op.executed = std::min(1.0, (1 + kAttentionTile / keys) / 2);
}

}  // namespace

void execute_as(const KernelFeatures& features, Op& op) {
  const std::string& name = op.key.op;
  launch_experts(features, op);
  if (op.fused_scores) op.attention_generation = features.flash_attention;
  if (name == "causal_attention" && features.skip_masked) return skip_masked(op);
  if (name == "rms_norm" && !features.fused_norms) return unfuse_norm(op);
  if (name == "rotary" && !features.fused_rotary)
    return replace(op, {.elements = 10, .kernels = 5});
  if (name == "softmax_cross_entropy" && !features.fused_loss) return unfuse_loss(op);
  if (name.starts_with("gated_") && !features.fused_elementwise) return unfuse_gate(op);
  if (op.key.pass == Pass::optimizer && !features.fused_optimizer && name != "square_sum") {
    return unfuse_optimizer(op);
  }
  if (name == "dropout" && features.fused_elementwise) {
    op.traffic = Bytes{static_cast<std::int64_t>(elements_of(op.key))};
    op.launches = 0;
  }
}

}  // namespace foreplan
