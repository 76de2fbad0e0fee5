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

}  // namespace foreplan
