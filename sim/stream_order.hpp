#pragma once

#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// The task before each task in its stream: TaskId{-1} for the first of a stream and for tasks
/// without one. O(tasks + devices * streams).
std::vector<TaskId> stream_predecessors(const TaskGraph& graph);

/// The tasks that wait for each task: those that name it in `after`, and the next of its stream. A
/// task that names it twice stands twice.
Rows<TaskId> successors(const TaskGraph& graph);

/// The tasks in an order that respects dependencies and streams; among tasks that could come next,
/// the one of the smallest id does. O(tasks + dependencies) where every predecessor has a smaller
/// id, as in lowered graphs; otherwise O(dependencies + tasks log tasks).
/// @throws Error(invalid_argument) naming the tasks of a cycle, or of a stream whose order
///   contradicts the dependencies
std::vector<TaskId> topological_order(const TaskGraph& graph);

}  // namespace foreplan
