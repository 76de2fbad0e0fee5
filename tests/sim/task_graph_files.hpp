#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sim/task_graph_io.hpp"
#include "tests/sim/temporary_file.hpp"

// Task graph files for tests, and what is made of them.

namespace foreplan {

/// Of `tasks`, with the schema.
inline nlohmann::json file_of(nlohmann::json tasks) {
  return {{"schema", "foreplan.task_graph/1"}, {"tasks", tasks}};
}

inline TaskGraphFile read(const nlohmann::json& file, const OpCompletion& complete = {}) {
  const TemporaryFile written("g.json", file.dump());
  return read_task_graph(written.path(), complete);
}

inline std::string complaint(const nlohmann::json& file, const OpCompletion& complete = {}) {
  const TemporaryFile written("g.json", file.dump());
  return written.complaint([&] { read_task_graph(written.path(), complete); });
}

/// One of every kind of task.
inline nlohmann::json example() {
  return nlohmann::json::parse(
      R"({"schema": "foreplan.task_graph/1", "name": "x", "devices": 4, "tasks": [
    {"id": "a", "kind": "compute", "device": 0, "stream": "compute",
     "op": {"op": "linear", "pass": "backward_weight", "shape": [2, 3, 4], "dtype": "bf16",
            "accumulate": true, "flops": 48, "bytes_accessed": 60},
     "allocates": [{"buffer": "x", "bytes": 100, "category": "gradient"}]},
    {"id": "send", "kind": "transfer", "source": 0, "destination": 1, "bytes": 1000000,
     "stream": "copy_in", "after": ["a"], "frees": ["x"]},
    {"id": "h", "kind": "host", "device": 1, "stream": "loader", "duration_s": 2e-6,
     "after": ["send"]},
    {"id": "sum", "kind": "collective", "operation": "all_reduce", "group": [2, 0, 1],
     "bytes": 12, "stream": "collective", "after": ["h"]},
    {"id": "b", "kind": "compute", "device": 3, "duration_s": 1e-6, "after": ["sum", "a"]}]})");
}

}  // namespace foreplan
