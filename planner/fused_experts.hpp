#pragma once

#include "models/op_graph.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// Makes the gate between experts' products, and the casts on its both sides, part of these products. With N numbers
/// behind the gate, e bytes each as stored and p as multiplied:
///
///   forward    the first product writes what the gate makes of it too: N p; no gate reads, nothing is cast before the
///              second product
///   backward   the second product reads what entered the gate and writes its gradient instead of that of the gate's
///              outcome: 2 N (e + p) - N e; nothing is cast before the first product's gradients
///
/// @param stored, multiplied  formats of tensors and of experts' products
/// Source: Transformer Engine's op fuser with the grouped kernels of the cuDNN front end
/// (NVTE_CUTEDSL_FUSED_GROUPED_MLP in the recipes of NVIDIA-NeMo/Megatron-Bridge).
void fuse_experts(const OpGraph& model, DType stored, DType multiplied, UnitWork& work);

}  // namespace foreplan
