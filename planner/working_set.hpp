#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "sim/units.hpp"

namespace foreplan {

/// A layer as the memory that its forward and its backward touch.
struct WorkingLayer {
  Bytes output;
  /// Places of the layers whose outputs it reads; empty: what enters. The samples are not listed.
  std::vector<std::optional<std::size_t>> inputs;
  std::vector<Bytes> forward_temporary{}, backward_temporary{};  ///< tensors while it is at work
  bool passes_gradient = false;  ///< an addition: its inputs' gradients are its output's
  bool in_place = false;  ///< the gradient of its input takes the input's memory, which is kept
};

/// What forward keeps for backward, until the layer `owner` has gone back.
struct WorkingItem {
  Bytes bytes;
  std::size_t owner = 0;
  /// The layer whose output it is; empty: what enters. Absent: a thing of its own, made by `owner`.
  std::optional<std::optional<std::size_t>> tensor{};
};

/// Layers in the order of forward.
struct WorkingUnit {
  std::vector<WorkingLayer> layers;
  std::vector<WorkingItem> items;
  Bytes entering;
};

/// The most memory that a unit needs beyond what it keeps, and the tensors that it is then: cut, the smallest
/// first, to that sum, as some of what was kept has gone by then.
struct WorkingSet {
  Bytes forward;   ///< while forward runs; the last layer's output among it
  Bytes backward;  ///< while backward runs, less what it has freed of what was kept
  std::vector<Bytes> forward_tensors{}, backward_tensors{};
};

/// Walks through a unit as an eager framework runs it.
///
///   forward    a layer's output comes to life; one that nobody keeps dies with its last reader
///   backward   from the last layer to the first a layer's inputs get gradients, one that has its already a
///              second one that is added and dies; then the gradient of its output dies, and what was kept for it
///
/// Peaks are over layers, each with its temporaries; what was kept counts as it comes and goes.
WorkingSet working_set(const WorkingUnit& unit);

}  // namespace foreplan
