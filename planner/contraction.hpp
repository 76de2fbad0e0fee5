#pragma once

#include <cstdint>
#include <vector>

#include "planner/stage_layout.hpp"

namespace foreplan {

/// Of each unit of a chain the units that it reads; kSamples: the samples. A table that is read by ids stands
/// wherever it is needed, as ids are at hand everywhere: it counts as reading the unit before it.
inline constexpr std::int32_t kSamples = -1;
using UnitInputs = std::vector<std::vector<std::int32_t>>;
UnitInputs unit_inputs(const OpGraph& model, const UnitChain& chain);

/// Entry i: whether a single tensor crosses between unit i and unit i + 1, the output of unit i; so stages
/// may be cut there.
///
/// That is so where unit i is on every way from the samples to the last unit: it dominates that, and every
/// unit stands before it (can be reached without it) or behind it. Dominators by Lengauer and Tarjan, ACM
/// TOPLAS 1(1), 1979, as Boost.Graph has them: O(E log V).
/// @param inputs  units in topological order, each reads something, all but the last are read
std::vector<bool> single_tensor_cuts(const UnitInputs& inputs);

/// The units between two places where a single tensor crosses, one behind the other: no cut lies inside.
struct SuperLayer {
  std::int32_t first = 0;  ///< into UnitChain::units
  std::int32_t units = 0;
};

/// `count` super-layers that are alike, one behind the other.
struct SuperRun {
  std::int32_t super_class = 0;  ///< into Contraction::classes
  std::int32_t count = 0;
};

/// A network as a chain of super-layers, most of them alike.
struct Contraction {
  std::vector<SuperLayer> classes;  ///< the first of its kind
  std::vector<SuperRun> runs;       ///< from input to loss
  std::int32_t super_layers() const;
};

/// Contracts a network between its legal cuts.
///
/// Super-layers are alike if they have the same layers, of the same shapes, that read each other alike.
/// @param most  there are at most so many: neighbours are joined, as many each as it takes
/// @throws Error(invalid_argument) if most < 1
Contraction contract(const OpGraph& model, int most = 200);

}  // namespace foreplan
