#pragma once

#include <span>
#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// Memory on one device that the operands of ops in a sequence share: reads come from one pool, writes
/// go to another, each op's behind those of the op before, around and around. An op thus finds its
/// operands as cold as the pools are large.
class OperandPools {
 public:
  /// Adds the pools for `keys`: twice what the largest of them needs, at least `least`.
  /// @throws Error(invalid_argument) naming a key that no kernel knows
  OperandPools(TaskGraphBuilder& builder, DeviceId device, std::span<const OpKey> keys,
               Bytes least);

  /// Adds a task that runs `key` on the pools.
  TaskId add(TaskGraphBuilder& builder, const OpKey& key, StreamId stream,
             std::vector<TaskId> after = {});

 private:
  struct Pool {
    BufferId buffer{-1};
    Bytes size, next;
    BufferRange take(Bytes bytes);
  };
  DeviceId device_;
  Pool reads_, writes_, labels_;
};

/// A graph that runs each of `keys` once, in order, in the compute stream of one device.
TaskGraph op_sequence(std::span<const OpKey> keys, Bytes least_pool);

}  // namespace foreplan
