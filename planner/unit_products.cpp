#include "planner/unit_products.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "models/op_cost.hpp"

namespace foreplan {
namespace {

bool is_product(const Op& op) {
  return op.key.op == "linear" || op.key.op == "matmul" || op.key.op == "expert_linear";
}

/// Where a layer's forward is its product; null: it is something else.
Op* product_of(LayerWork& layer) {
  const auto found = std::find_if(layer.ops.forward.begin(), layer.ops.forward.end(), is_product);
  return found == layer.ops.forward.end() ? nullptr : &*found;
}

/// A product and nothing else in any pass.
bool alone(const LayerOps& ops) {
  return ops.forward.size() == 1 && ops.backward_input.size() <= 1 &&
         ops.backward_weight.size() == 1 && is_product(ops.forward.front());
}

/// Shapes [..., n] that differ in n at most, of ops that are otherwise alike.
bool joins(const Op& a, const Op& b) {
  const auto& x = a.key.shape;
  const auto& y = b.key.shape;
  return a.key.op == b.key.op && a.key.dtype == b.key.dtype && x.size() == y.size() &&
         std::equal(x.begin(), x.end() - 1, y.begin());
}

void widen(std::vector<Op>& into, std::vector<Op>& from) {
  if (into.empty() || from.empty()) return;
  OpKey key = into.front().key;
  key.shape.back() += from.front().key.shape.back();
  into.front() = make_op(std::move(key));
  from.clear();
}

/// Whether `layer` joins `first`, and if so, its products do.
bool join(LayerWork& first, LayerWork& layer) {
  const bool alike = alone(layer.ops) && joins(first.ops.forward[0], layer.ops.forward[0]) &&
                     first.ops.backward_input.size() == layer.ops.backward_input.size();
  if (!alike) return false;
  widen(first.ops.forward, layer.ops.forward);
  widen(first.ops.backward_input, layer.ops.backward_input);
  widen(first.ops.backward_weight, layer.ops.backward_weight);
  return true;
}

}  // namespace

void fuse_products(const OpGraph& model, UnitWork& work) {
  for (std::size_t i = 0; i < work.layers.size(); ++i) {
    LayerWork& first = work.layers[i];
    if (!alone(first.ops)) continue;
    const LayerId input = model.inputs(first.layer).front();
    for (std::size_t j = i + 1; j < work.layers.size(); ++j) {
      LayerWork& layer = work.layers[j];
      if (model.inputs(layer.layer).front() == input) join(first, layer);
    }
  }
}

void add_casts(const OpGraph& model, const CastSetting& setting, UnitWork& work) {
  std::vector<LayerId> cast_inputs;
  for (LayerWork& layer : work.layers) {
    const Op* product = product_of(layer);
    if (product == nullptr || product->key.dtype != DType::fp8) continue;
    const std::vector<std::int64_t> shape = product->key.shape;  // [experts,] m, k, n
    const std::int64_t experts = shape.size() > 3 ? shape.front() : 1;
    const std::int64_t n = shape.back(), k = shape[shape.size() - 2], m = shape[shape.size() - 3];
    const LayerId input = model.inputs(layer.layer).front();
    const bool first =
        std::find(cast_inputs.begin(), cast_inputs.end(), input) == cast_inputs.end();
    cast_inputs.push_back(input);
    const auto cast = [&](std::vector<Op>& before, std::int64_t numbers) {
      before.insert(before.begin(),
                    make_op({.op = "cast", .shape = {numbers}, .dtype = setting.dtype}));
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
