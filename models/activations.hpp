#pragma once

#include <cstdint>
#include <vector>

#include "models/layer_ops.hpp"
#include "models/op_graph.hpp"

namespace foreplan {

/// Something that forward keeps because backward needs it.
struct SavedItem {
  enum class Kind : std::uint8_t {
    tensor,         ///< the output of a layer, in the training's number format
    probabilities,  ///< attention that is not fused: softmax and its dropout; the loss: fp32
    mask,           ///< of dropout, 1 byte an element
    statistics,     ///< of norms, of fused attention, indices: 4 bytes each
    activated,  ///< act(gate) of a gated layer that is not fused, in the training's number format
    fp8_copy,   ///< a product's input as it was multiplied, 1 byte an element
  };
  Kind kind{};
  LayerId owner{};  ///< the first layer that needs it
  LayerId
      producer{};  ///< tensor, fp8_copy: whose output it is (kBlockInput: what enters the block); else
                   ///< the owner
  Bytes bytes;
};

/// What the layers [first, last] keep for backward; each tensor once, however many layers need it, in
/// order of the layers that do. The samples themselves are not activations.
///
///   layer                                     keeps
///   linear, conv2d, expert_linear             its input; where it multiplies fp8 a copy of that in fp8
///                                             instead, unless `saved_fp8_inputs` is off
///   gelu, gelu_tanh, silu, relu_squared,      its inputs
///   gated_*                                   (not fused: act(gate) as well)
///   relu, tanh                                its output
///   norms                                     its input, and statistics
///   dropout                                   the mask
///   attention, fused                          q, k, v, its output, a logsumexp a row and head
///   attention, not fused                      q, k, v, the probabilities, and with dropout its mask and output
///   max_pool, top_k                           indices; top_k: its output too
///   combine                                   its inputs
///   softmax_cross_entropy                     probabilities in fp32; fused: its input
///   all others                                nothing
///
/// For the GPT shape with dropout, 2 bytes a number and attention not fused, tensors, probabilities and
/// masks of a layer add up to s b h (34 + 5 a s / h).
/// Source: Korthikanti et al., Reducing Activation Recomputation, arXiv:2205.05198, section 4.1.
std::vector<SavedItem> saved_items(const OpGraph& graph, LayerId first, LayerId last,
                                   const Sizing& sizing);

/// Whether selective recomputation computes an item anew instead of keeping it: what attention makes of
/// q, k and v. Source: Korthikanti et al., section 5.
bool recomputed_selectively(const OpGraph& graph, const SavedItem& item);

/// What enters a block, all that full recomputation keeps of it.
Bytes block_input(const OpGraph& graph, const Block& block, const Sizing& sizing);

}  // namespace foreplan
