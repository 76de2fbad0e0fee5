#include "planner/fused_experts.hpp"

#include <algorithm>
#include <numeric>

namespace foreplan {
namespace {

std::int64_t numbers_of(const Op& op) {
  const std::vector<std::int64_t>& shape = op.key.shape;
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

bool is_gate(const OpGraph& model, LayerId id) {
  const LayerKind kind = model.layer(id).kind;
  if (kind != LayerKind::gated_silu && kind != LayerKind::gated_gelu) return false;
  const std::vector<LayerId>& inputs = model.inputs(id);
  return std::all_of(inputs.begin(), inputs.end(), [&](LayerId input) {
    return input >= LayerId{0} && model.layer(input).kind == LayerKind::expert_linear;
  });
}

void drop_cast(std::vector<Op>& ops, std::int64_t numbers) {
  const auto found = std::find_if(ops.begin(), ops.end(), [&](const Op& op) {
    return op.key.op == "cast" && numbers_of(op) == numbers;
  });
  if (found != ops.end()) ops.erase(found);
}

void make_part(std::vector<Op>& ops, Bytes traffic) {
  if (ops.empty()) return;
  ops.front().traffic = traffic;
  ops.front().launches = 0;
}

}  // namespace

void fuse_experts(const OpGraph& model, DType stored, DType multiplied, UnitWork& work) {
  const Bytes e = element_size(stored), p = element_size(multiplied);
  const auto fuse = [&](LayerWork& gate) {
    const std::int64_t numbers = numbers_of(gate.ops.forward.front());
    make_part(gate.ops.forward, numbers * p);
    make_part(gate.ops.backward_input, 2 * numbers * (e + p) - numbers * e);
    const std::vector<LayerId>& before = model.inputs(gate.layer);
    for (LayerWork& layer : work.layers) {
      if (std::find(before.begin(), before.end(), layer.layer) != before.end()) {
        drop_cast(layer.ops.backward_input, 2 * numbers);
        drop_cast(layer.ops.backward_weight, 2 * numbers);
      }
      const bool reads =
          layer.layer > gate.layer && model.inputs(layer.layer).front() == gate.layer;
      if (reads) drop_cast(layer.ops.forward, numbers);
    }
  };
  for (LayerWork& layer : work.layers) {
    if (is_gate(model, layer.layer) && !layer.ops.forward.empty()) fuse(layer);
  }
}

}  // namespace foreplan
