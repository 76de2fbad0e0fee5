#pragma once

#include "models/op_graph.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// Makes one product of those that multiply the same input, as Megatron-LM does of query, key and value and of
/// gate and up: [m, k, n_1], [m, k, n_2], ... become [m, k, n_1 + n_2 + ...] in every pass, of the first layer.
///
/// Linear layers of one input, of experts or not, that are each a product and nothing else (a bias counts to
/// the product) and share m, k and the number of experts. FLOPs stay, m k of traffic is read once.
/// Source: Shoeybi et al., Megatron-LM, arXiv:1909.08053, section 3.
void fuse_products(const OpGraph& model, UnitWork& work);

/// How a stack casts to fp8.
struct CastSetting {
  DType dtype = DType::bf16;   ///< from which
  bool cached_weights = true;  ///< weights are cast once a step, which is not a unit's work
  bool saved_inputs = true;    ///< backward has the inputs in fp8
};

/// Adds to every product that multiplies fp8 what makes its operands, a cast [numbers] each:
///
///   forward    the input [m k], once for all products that read it; weights [k n] unless cached
///   backward   the gradient of the output [m n]; weights [k n] unless cached; the input again unless saved
///
/// Source: Transformer Engine user guide, FP8 primer (a tensor and its transpose are cast together); torchao
/// float8 training, README (dynamic scaling: weights and inputs are cast whenever they are multiplied).
void add_casts(const OpGraph& model, const CastSetting& setting, UnitWork& work);

}  // namespace foreplan
