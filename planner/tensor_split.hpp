#pragma once

#include <vector>

#include "models/op_graph.hpp"
#include "planner/sharding.hpp"

namespace foreplan {

/// How tensor-parallel ranks share layers [first, last], as Megatron-LM does it.
///
/// A product (linear, conv2d, expert_linear) whose output reaches other products and nothing else, by way
/// of layers that work feature by feature or head by head, is cut by columns; those others are cut by
/// rows, and the layers between are split. A product that feeds the loss is cut by columns (the
/// vocabulary), an embedding by the rows of its table; all else is done by every rank, whole, or with
/// sequence parallelism a tp-th of the rows.
/// Sources: Shoeybi et al., arXiv:1909.08053, section 3; Korthikanti et al., arXiv:2205.05198, section 4.2.
/// @param whole_experts  experts are not cut: a rank has some of them, as expert parallelism deals them
/// @return  by layer of the model; those outside are replicated
/// @throws Error(invalid_argument) naming the first layer whose heads, groups or features tp does not divide
std::vector<Sharding> split_tensors(const OpGraph& model, LayerId first, LayerId last, int tp,
                                    bool whole_experts = false);

/// What one rank of `tp` does of `layer`. A vocabulary that tp does not divide is filled up.
Layer sharded(const Layer& layer, Sharding sharding, int tp);

/// A tensor on its way between the ranks of a tensor-parallel group, and the layers around it.
struct RegionEdge {
  LayerId producer{};              ///< whose output it is; kBlockInput, kModelInput: what comes in
  std::vector<LayerId> consumers;  ///< entering: those that split it; leaving: none
};

/// Tensors that all ranks hold whole (or cut along the sequence) and that split layers read: with sequence
/// parallelism they are all-gathered forward and their gradients reduce-scattered backward; without, their
/// gradients are all-reduced backward.
/// @param shardings  by layer of the model
std::vector<RegionEdge> entering_edges(const OpGraph& model, LayerId first, LayerId last,
                                       const std::vector<Sharding>& shardings);
/// Those of layers [first, last] that leave partial sums: products cut by rows, and embeddings.
std::vector<LayerId> leaving_layers(LayerId first, LayerId last,
                                    const std::vector<Sharding>& shardings);

}  // namespace foreplan
