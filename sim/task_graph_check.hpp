#pragma once

#include "sim/task_graph.hpp"

namespace foreplan {

/// Every id of every task lies in range, and a task has what its kind needs.
/// @throws Error(invalid_argument) naming the task
void check_tasks(const TaskGraph& graph);

/// Every buffer that is not persistent is allocated once and freed once, in this order; a persistent
/// one never; ranges lie inside their buffers. Needs `graph.order`.
/// @throws Error(invalid_argument) naming buffer and task
void check_buffers(const TaskGraph& graph);

}  // namespace foreplan
