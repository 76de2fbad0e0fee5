#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// Sizes of copies and of the adds behind them that some graphs need.
struct CopySizes {
  std::set<Bytes> sizes;
  /// Adds the sizes of the graph's transfers.
  void add(const TaskGraph& graph);
  /// Adds 4 KiB to `most`, by powers of four: for what nobody asked for yet.
  void add_grid(Bytes most);
};

/// A graph that measures copies as collectives and pipelines make them, on all devices at once: each
/// device writes a block (op "copy"), then pulls its left neighbour's freshly written block, then adds
/// it to a block of its own (op "accumulate"); so for every size, `repeats` times over.
///
/// Copies are between neighbours of a ring of all devices, in both directions of each pair for two
/// devices. Sizes are rounded up to whole fp32 numbers.
/// @throws Error(invalid_argument) if devices < 2
TaskGraph copy_graph(int devices, const CopySizes& sizes, int repeats);

/// A graph in which devices hand over to each other in turn, with next to nothing to do in between:
/// what waits cost. `rounds` times around, after each device has copied `head_start` bytes (0: nothing)
/// within its memory.
TaskGraph handover_graph(int devices, int rounds, Bytes head_start = {});

/// A graph in which all devices meet `rounds` times: every task waits for all of the round before.
/// `head_start` as above.
TaskGraph barrier_graph(int devices, int rounds, Bytes head_start = {});

/// Ring all-reduces of `sizes` over all devices, one behind the other.
TaskGraph collective_graph(int devices, const std::vector<Bytes>& sizes);

}  // namespace foreplan
