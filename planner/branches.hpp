#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"

namespace foreplan {

/// Layers of a flat network between two places where a single tensor crosses: that tensor enters, the last of
/// them puts out the next. Every one of them reads, at some remove, what enters, and the last one reads all.
struct Stretch {
  std::int32_t first = 0;  ///< layer
  /// Of each layer those that it reads, counted from `first`; -1: what enters. Samples, which every device
  /// has, are not listed.
  std::vector<std::vector<std::int32_t>> inputs;
  /// The most layers that can be at work at once: none of them reads another, at any remove.
  int width = 1;

  std::int32_t size() const { return static_cast<std::int32_t>(inputs.size()); }
};

/// The stretches of a network, from samples to loss: its legal cuts tell where they begin
/// (planner/contraction.hpp).
/// @return  none for networks of blocks, which are chains of them
std::vector<Stretch> stretches(const OpGraph& model);

/// The largest width; 1 for chains and for networks of blocks: nothing can be at work beside anything else.
int most_branches(const std::vector<Stretch>& stretches);

/// The layers of a stretch but its last, in groups that read nothing of each other: its branches.
/// @return  by layer the number of its branch, in order of their first layers; the last one has none, -1
std::vector<std::int32_t> branches_of(const Stretch& stretch);

}  // namespace foreplan
