#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Entry i: whether stages may be cut between layer i and layer i + 1, the loss not counted: a single
/// tensor crosses there, the output of layer i.
std::vector<bool> cuts(const OpGraph& model);

/// @param layers  of each stage
/// @throws Error(invalid_argument) naming the layers at a cut that more than one tensor crosses
void check_cuts(const OpGraph& model, const std::vector<int>& layers);

/// The stage of each layer; the loss is in the last.
std::vector<int> stages_of_layers(const OpGraph& model, const std::vector<int>& layers);

/// Every partition into `stages` stages of at least one layer at the legal cuts, in lexicographic
/// order, or none where there are more than `most`.
std::vector<std::vector<int>> all_partitions(const OpGraph& model, int stages, std::size_t most);

/// The partition whose slowest stage is fastest; of equals the one with the shortest first stage, the
/// rest being partitioned by the same rule.
///
/// Dynamic programming over layers and stages: O(stages * layers^2).
/// @param times  of each layer, the loss not counted
/// @throws Error(invalid_argument) if there are too few legal cuts
std::vector<int> balanced_partition(const OpGraph& model, const std::vector<Duration>& times,
                                    int stages);

}  // namespace foreplan
