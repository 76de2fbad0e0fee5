#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "models/op_cost.hpp"
#include "sim/collective.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// Data in a buffer of one device, and the tasks that made it.
struct Value {
  DeviceId device{};
  BufferRange range;
  std::vector<TaskId> ready;  ///< a reader elsewhere waits for these
};

/// What a compute task is told beside its op.
struct EmitContext {
  DeviceId device{};
  std::int32_t node = -1;
  std::int32_t micro_batch = -1;
};

/// Writes tasks and keeps the books of buffers: a buffer is allocated by the first task that writes
/// it and freed by the last that reads it, which waits for all other readers.
///
/// Emission order is a valid execution order: every task comes after all that it needs.
class Emitter {
 public:
  Emitter(int devices, bool concurrent_streams,
          CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring);

  TaskGraphBuilder& builder() { return builder_; }

  /// Room on a device for data that a task will write.
  Value temporary(DeviceId device, Bytes bytes, BufferCategory category);
  Value persistent(DeviceId device, Bytes bytes, BufferCategory category);

  /// A compute task; `reads` and `writes` in the order of the table in models/op_cost.hpp. `after`
  /// adds to what the reads imply.
  TaskId compute(const EmitContext& context, OpKey key, const std::vector<Value>& reads,
                 const std::vector<Value*>& writes, std::vector<TaskId> after = {});

  /// A copy of `from` to `context.device`, which pulls it.
  Value pull(const EmitContext& context, const Value& from);

  /// An in-place ring over values of equal size, one a rank. Afterwards `ready` of each tells when its
  /// result is there and `released` (by rank) which tasks read it last.
  std::vector<std::vector<TaskId>> collective(CollectiveKind kind, StreamId stream,
                                              const std::vector<Value*>& values,
                                              const EmitContext& context, std::string name);

  /// The stream that stands for `wanted`: itself, or the one stream of a device that has no others.
  StreamId stream(StreamId wanted) const { return concurrent_ ? wanted : kComputeStream; }

  TaskGraph finish() &&;

 private:
  std::vector<TaskId> elsewhere(DeviceId device, StreamId stream,
                                const std::vector<TaskId>& tasks) const;
  void note_read(BufferId buffer, TaskId task);
  /// Puts the allocation of a temporary that is not yet allocated on `task`.
  bool first_write(BufferId buffer);

  struct Book {
    bool persistent = false;
    bool allocated = false;
    std::vector<TaskId> users;  ///< readers and writers, ascending
  };

  bool concurrent_;
  CollectiveAlgorithm algorithm_;
  TaskGraphBuilder builder_;
  std::vector<Book> books_;
};

}  // namespace foreplan
