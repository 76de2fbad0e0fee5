#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/op_graph.hpp"
#include "sim/op.hpp"

namespace foreplan {

/// How much of training is looked at.
struct Sizing {
  std::int64_t samples = 1;
  SequenceLengths lengths{};
  DType dtype = DType::fp32;  ///< of what is stored
  /// Of what learned products multiply; tf32: attention's as well. Empty: `dtype`.
  std::optional<DType> products{};
  /// fp8 products: backward gets their inputs as they were multiplied, kept beside what others keep of the
  /// same tensor; else it makes them anew from the stored format.
  bool saved_fp8_inputs = true;
  /// Attention as one op that never stores the scores, rather than products and a softmax.
  bool fused_attention = true;
  bool fused_activations = true;  ///< gated: act(gate) is not stored
  bool fused_loss = false;  ///< softmax_cross_entropy keeps the logits instead of probabilities
};

/// The ops that compute a layer, pass by pass, in order of execution.
struct LayerOps {
  std::vector<Op> forward;
  std::vector<Op> backward_input;   ///< gradients of the inputs
  std::vector<Op> backward_weight;  ///< gradients of the parameters
};

/// Whether a layer multiplies fp8 where learned products do: a linear layer (of experts as well) whose outputs
/// come in whole groups of 16, as fp8 products want them, and decide of no row which expert it goes to.
/// Source: Transformer Engine, fp8 execution needs dimensions divisible by 16; Megatron-Core's router.
bool multiplies_fp8(const OpGraph& graph, LayerId id);

/// @param operands  rows of each input, a sample
/// @throws Error(invalid_argument) if sizes are < 1 or too large to count
LayerOps layer_ops(const Layer& layer, std::span<const Positions> operands, const Sizing& sizing);

/// The same for a layer of a graph; nobody asks for the gradient of the samples.
LayerOps layer_ops(const OpGraph& graph, LayerId id, const Sizing& sizing);

/// FLOPs and bytes of a layer for one sample, pass by pass: what `foreplan show` prints. A pass that
/// training does not need is zero: the gradient of the samples, and that of `add`, which is handed on
/// as it is.
struct LayerCost {
  std::int64_t parameters = 0;
  Flops forward, backward_input, backward_weight;
  Bytes forward_traffic, backward_input_traffic, backward_weight_traffic;
  Bytes activation;  ///< the output of the layer, one sample
};
LayerCost layer_cost(const OpGraph& graph, LayerId id, DType dtype,
                     const SequenceLengths& lengths = {});

/// The FLOPs of a training step's matrix products, forward and backward, over all layers and their
/// repeats: what MFU counts. Nothing is recomputed; causal attention counts in full.
///
/// For the GPT shape (L layers, width h, 4 h inside the MLP, vocabulary V, s tokens, B samples):
///   72 B s L h^2 (1 + s / (6 h) + V / (12 L h))
/// Source: Narayanan et al., arXiv:2104.04473, appendix (without their recomputation).
Flops matrix_flops(const OpGraph& graph, const Sizing& sizing);

}  // namespace foreplan
