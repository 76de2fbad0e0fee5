#pragma once

#include <vector>

#include "runtime/chains.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// Where every buffer of a graph lies in the arena of its device.
struct ArenaPlan {
  std::vector<Bytes> offset;  ///< by BufferId; multiples of 64 B
  std::vector<Bytes> size;    ///< by device: of its arena
};

/// Plans the arenas of a graph: first fit, in topological order of the allocations, persistent
/// buffers first. Two buffers share memory only if the task that frees the one has finished before
/// the task that allocates the other starts, whatever the timing of a run.
/// O(buffers^2) in time.
ArenaPlan plan_arenas(const TaskGraph& graph, const Chains& chains);

/// Checks that the graph is safe to run, whatever the timing: every access lies inside its buffer,
/// on the right device, between the buffer's allocation and its free; and of two tasks that touch
/// the same bytes, one of them writing, one has finished before the other starts.
/// @throws Error(invalid_argument) naming the tasks and the buffer
void check_accesses(const TaskGraph& graph, const Chains& chains);

/// The buffer's name, or its number, category and device: for messages.
std::string described(const TaskGraph& graph, BufferId buffer);

}  // namespace foreplan
