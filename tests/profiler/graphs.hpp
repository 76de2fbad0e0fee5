#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/task_graph.hpp"

// Small graphs for tests of the profiler: what matters is written at the call.

namespace foreplan {

/// An op of that name at the shape {8}: 8 operations, 64 bytes.
inline Op plain_op(const std::string& name) {
  return {.key = {.op = name, .shape = {8}}, .flops = {8}, .traffic = 64_B};
}

/// A compute task in the compute stream of `device`.
inline TaskId add_work(TaskGraphBuilder& builder, int device, const std::string& op,
                       std::vector<TaskId> after = {}) {
  return builder.add(
      {.device = DeviceId{device}, .op = builder.add_op(plain_op(op)), .after = std::move(after)});
}

/// A transfer in no stream.
inline TaskId add_transfer(TaskGraphBuilder& builder, std::pair<int, int> route, Bytes bytes,
                           std::vector<TaskId> after = {}) {
  return builder.add({.kind = TaskKind::transfer,
                      .device = DeviceId{route.second},
                      .stream = kNoStream,
                      .source = DeviceId{route.first},
                      .bytes = bytes,
                      .after = std::move(after)});
}

}  // namespace foreplan
