#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// Which task of a graph is sure to be done before which: by dependencies and order of streams.
class HappensBefore {
 public:
  explicit HappensBefore(const TaskGraph& graph)
      : before_(graph.size(), std::vector<bool>(graph.size(), false)) {
    std::vector<std::vector<TaskId>> direct(graph.size());
    std::map<std::pair<DeviceId, StreamId>, TaskId> last;
    for (std::size_t i = 0; i < graph.size(); ++i) {
      const TaskId task{static_cast<std::int32_t>(i)};
      direct[i].assign(graph.after[i].begin(), graph.after[i].end());
      if (graph.stream[i] == kNoStream) continue;
      const auto [entry, first] = last.try_emplace({graph.device[i], graph.stream[i]}, task);
      if (!first) direct[i].push_back(std::exchange(entry->second, task));
    }
    for (const TaskId task : graph.order) {
      for (const TaskId earlier : direct[index(task)]) add(index(task), index(earlier));
    }
  }

  bool operator()(TaskId earlier, TaskId later) const {
    return before_[index(later)][index(earlier)];
  }

 private:
  void add(std::size_t task, std::size_t earlier) {
    before_[task][earlier] = true;
    for (std::size_t i = 0; i < before_.size(); ++i) {
      if (before_[earlier][i]) before_[task][i] = true;
    }
  }

  std::vector<std::vector<bool>> before_;  ///< [later][earlier]
};

}  // namespace foreplan
