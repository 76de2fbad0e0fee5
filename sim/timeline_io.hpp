#pragma once

#include <string>

#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// A timeline as Chrome trace events (JSON Object Format), which ui.perfetto.dev opens.
///
/// A process a device, a thread a stream; tasks of no stream lie on as many threads as it takes. A
/// complete event ("X") a task, its name, kind and op in `args`; a flow arrow to each transfer from
/// the last task on its source that it waited for. A device has three counters: `memory` (what is in
/// use), `memory by category`, and `memory reserved` (by a caching allocator for the graph's buffers, see
/// reserved_memory). Instants are microseconds with all their picoseconds.
/// Source: Trace Event Format, Google, 2016.
/// @throws Error(invalid_argument) if the timeline has another number of tasks than the graph
std::string to_trace(const TaskGraph& graph, const Timeline& timeline);

/// Both in one: beside each device's process "device 0 forecast" one "device 0 measured".
std::string to_trace(const TaskGraph& graph, const Timeline& forecast, const Timeline& measured);

}  // namespace foreplan
