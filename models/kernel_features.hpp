#pragma once

#include "sim/op.hpp"

namespace foreplan {

/// How a software stack's kernels do what the ops ask for.
struct KernelFeatures {
  bool skip_masked = true;  ///< fused causal attention leaves out keys behind its queries
  int flash_attention = 0;  ///< generation of fused attention's kernels; 0: the device's newest
  bool fused_elementwise =
      true;  ///< a dropout is part of the kernel that adds behind it, a gate one kernel
  bool fused_norms = true;  ///< RMS norms are one kernel each way
  bool fused_rotary = true;
  bool fused_loss = true;  ///< of logits as they are, in one kernel each way
  /// Grouped products of experts are one kernel each, with the gate between them and what casts its operands and
  /// its gradient in them.
  bool fused_experts = false;
  bool fused_optimizer = true;
  bool fused_projections =
      true;  ///< linears that read one tensor (query, key, value; gate, up) are one product
  /// Full recomputation ends with the last tensor that backward asks for: checkpoints of PyTorch 2.1 and later
  /// that are not reentrant (torch.utils.checkpoint, set_checkpoint_early_stop).
  bool stops_recomputing = false;
  bool fused_accumulation =
      true;  ///< products of weights' gradients add to what earlier micro-batches left
};

/// The op as a stack's kernels do it: its traffic, its kernels, the share of it that is done.
///
/// Kernels of eager PyTorch, one an operator, each reading its operands and writing its result; e bytes an
/// element, 4 where the operator computes in fp32 (the cast is an operator too); bytes an element, kernels:
///
///   rms_norm   forward 24 + 4e, 7: to fp32, square, mean, rsqrt, times, back, times gain
///              backward_input 48 + 4e, 9;  backward_weight 3e, 2
///   rotary     10e, 5 each way: minus, concatenate, two products, sum
///   gated_*    forward 5e, 2;  backward 9e, 3
///   dropout + add fused: what passes between them is neither written nor read; the dropout is no kernel
///   softmax_cross_entropy  forward 12 + e, 3: to fp32, log_softmax, pick;  backward 20 + e, 3
///   adam, sgd  each operand once more for each of the for-each kernels: 2.5 times the traffic, 8 kernels
///
/// Experts: a product for each (GroupedLinear of NVIDIA/TransformerEngine), or one for all (fused_experts); routing some 20 kernels, moving
/// rows to experts and back some 10 each (NVIDIA/Megatron-LM, megatron/core/transformer/moe; counted, roughly).
/// Masked attention: of the keys of a causal mask, (1 + 128 / keys) / 2 are looked at, in tiles of 128.
/// Sources: the operators of LlamaRMSNorm, apply_rotary_pos_emb and LlamaMLP (huggingface/transformers,
/// modeling_llama.py), of torch.nn.functional.cross_entropy on logits.float(), and of torch.optim's
/// for-each Adam; Dao, FlashAttention-2, arXiv:2307.08691, section 3.1 for the skipped tiles.
void execute_as(const KernelFeatures& features, Op& op);

}  // namespace foreplan
