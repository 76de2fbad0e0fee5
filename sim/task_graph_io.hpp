#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "sim/group_placement.hpp"
#include "sim/op.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// A task as its file calls it.
struct FileTask {
  std::string id;
  std::vector<TaskId> tasks;  ///< what it became: a collective has several
};

/// A graph that was read from a file.
struct TaskGraphFile {
  TaskGraph graph;
  std::vector<FileTask> tasks;  ///< in the file's order
};

/// Makes the op with FLOPs and traffic of a key (models/op_cost.hpp has one); throws if it cannot.
using OpCompletion = std::function<Op(OpKey)>;

/// Tells where the devices of a collective lie (sim/group_placement.hpp has one for a cluster).
using GroupPlacing = std::function<GroupPlacement(std::span<const DeviceId>)>;

/// Reads a `foreplan.task_graph/1` file; docs/formats.md tells the keys.
///
/// A collective becomes the copies of its algorithm (sim/collective.hpp) on the stream that it names,
/// of every device of its group; it starts when all its predecessors are done, on every rank, and what
/// comes after it waits for all ranks. Times only: it has no adds and no buffers.
/// @param complete  asked where an op has no duration and lacks `flops` or `bytes_accessed`
/// @param place     asked where a collective's algorithm is "auto", or hierarchical of a group whose
///   `ranks_per_node` the file does not tell
/// @throws Error(invalid_argument) naming file and place, or the tasks of a cycle
TaskGraphFile read_task_graph(const std::filesystem::path& path, const OpCompletion& complete = {},
                              const GroupPlacing& place = {});

/// A graph as such a file: collectives as the tasks that they became.
///
/// Reading it again gives an equal graph but for names, for the numbers of buffers (persistent ones
/// come first), and for `reads`, `writes` and `placements`, which say where data lies and are not
/// part of a file.
std::string to_json(const TaskGraph& graph);

/// When a task of the file ran.
struct FileTaskTime {
  std::string id;
  Duration start{};   ///< of the first of its tasks
  Duration finish{};  ///< of the last
};
std::vector<FileTaskTime> file_times(const TaskGraphFile& file, const Timeline& timeline);

}  // namespace foreplan
