#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"
#include "planner/strategy.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// Units that are alike.
struct UnitClass {
  UnitRange range;
  BlockRole role = BlockRole::layer;
};

/// A network as a chain of units: blocks where it has them, otherwise its layers one by one.
struct UnitChain {
  std::vector<UnitClass> classes;
  std::vector<std::int32_t> units;  ///< from input to loss: into `classes`
  /// Where units may belong to different stages: entry i, between unit i and i + 1.
  std::vector<bool> cuts;
  /// The units that `layers=` counts; those before go with the first stage, those behind with the last.
  std::int32_t first_layer = 0, layers = 0;
};
UnitChain unit_chain(const OpGraph& model);

/// `count` units of one class, one behind the other.
struct UnitRun {
  std::int32_t unit_class = 0;
  std::int32_t count = 0;
};

/// The units of every virtual stage, in order.
using StageLayout = std::vector<std::vector<UnitRun>>;

/// How many layers each virtual stage gets where the strategy does not tell.
///
/// As many each where that divides. Where it does with the first and the last given one less (embedding
/// and head then count as a layer each: Llama 3, arXiv:2407.21783, section 3.3.2), so. Otherwise the
/// first ones get one more. Of a flat graph's legal cuts the nearest.
std::vector<int> even_layers(const UnitChain& chain, int virtual_stages);

/// The same by the weights of learned products, those of the head among them: a stage takes units until
/// the sum over all so far exceeds its share, total (s + 1) / stages. Each gets a layer at least.
/// Source: huggingface/nanotron, src/nanotron/models/base.py, build_model.
std::vector<int> weighed_layers(const OpGraph& model, const UnitChain& chain, int virtual_stages);

/// @param layers  of each virtual stage
/// @throws Error(invalid_argument) if they do not add up, or lie across a place that cannot be cut
StageLayout lay_out(const UnitChain& chain, const std::vector<int>& layers);

}  // namespace foreplan
