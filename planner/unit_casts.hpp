#pragma once

#include "models/op_graph.hpp"
#include "models/stack.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// How a stack casts to fp8.
struct CastSetting {
  DType dtype = DType::bf16;   ///< from which
  bool cached_weights = true;  ///< weights are cast once a step, which is not a unit's work
  bool saved_inputs = true;    ///< backward has the inputs in fp8
  Fp8Scaling scaling = Fp8Scaling::delayed;
};

/// Adds to every product that multiplies fp8 what makes its operands, a cast [numbers] each, in as many kernels as the
/// product (one for each expert, GroupedLinear of Transformer Engine):
///
///   forward    the input [m k], once for all products that read it; weights [k n] unless cached
///   backward   the gradient of the output [m n]; weights [k n] unless cached; the input again unless saved
///
/// A cast of n numbers of e bytes moves, and is as many kernels:
///
///   delayed   (e + 2) n, 1
///   tensor    (2 e + 2) n, 2: the largest number first
///   rows      (3 e + 2) n, 3: along rows a kernel keeps what it reads; across them it reads twice
///
/// Source: Transformer Engine user guide, FP8 primer (a tensor and its transpose are cast together); torchao
/// float8 training, README (dynamic scaling: weights and inputs are cast whenever they are multiplied).
void add_casts(const OpGraph& model, const CastSetting& setting, UnitWork& work);

}  // namespace foreplan
