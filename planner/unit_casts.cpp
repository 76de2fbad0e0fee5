#include "planner/unit_casts.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "models/op_cost.hpp"

namespace foreplan {
namespace {

/// Beyond a cast whose scale is known.
void find_scale(Fp8Scaling scaling, std::int64_t numbers, DType dtype, Op& cast) {
  if (scaling == Fp8Scaling::delayed) return;
  const int more = scaling == Fp8Scaling::tensor ? 1 : 2;
  cast.traffic += more * numbers * element_size(dtype);
  cast.launches *= 1 + more;
}

bool is_product(const Op& op) {
  return op.key.op == "linear" || op.key.op == "matmul" || op.key.op == "expert_linear";
}

/// Where a layer's forward is its product; null: it is something else.
Op* product_of(LayerWork& layer) {
  const auto found = std::find_if(layer.ops.forward.begin(), layer.ops.forward.end(), is_product);
  return found == layer.ops.forward.end() ? nullptr : &*found;
}

}  // namespace

void add_casts(const OpGraph& model, const CastSetting& setting, UnitWork& work) {
  std::vector<LayerId> cast_inputs;
  for (LayerWork& layer : work.layers) {
    const Op* product = product_of(layer);
    if (product == nullptr || product->key.dtype != DType::fp8) continue;
    const double launches = product->launches;
    const std::vector<std::int64_t> shape = product->key.shape;  // [experts,] m, k, n
    const std::int64_t experts = shape.size() > 3 ? shape.front() : 1;
    const std::int64_t n = shape.back(), k = shape[shape.size() - 2], m = shape[shape.size() - 3];
    const LayerId input = model.inputs(layer.layer).front();
    const bool first =
        std::find(cast_inputs.begin(), cast_inputs.end(), input) == cast_inputs.end();
    cast_inputs.push_back(input);
    const auto cast = [&](std::vector<Op>& before, std::int64_t numbers) {
      Op op = make_op({.op = "cast", .shape = {numbers}, .dtype = setting.dtype});
      op.launches = launches;
      find_scale(setting.scaling, numbers, setting.dtype, op);
      before.insert(before.begin(), std::move(op));
    };
    LayerOps& ops = layer.ops;
    std::vector<Op>& backward =
        ops.backward_input.empty() ? ops.backward_weight : ops.backward_input;
    if (first) cast(ops.forward, m * k);
    if (first && !setting.saved_inputs) cast(ops.backward_weight, m * k);
    cast(backward, m * n);
    if (setting.cached_weights) continue;
    cast(ops.forward, experts * k * n);
    cast(backward, experts * k * n);
  }
}

}  // namespace foreplan
