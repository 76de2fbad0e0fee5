#include "runtime/chains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace foreplan {

Chains::Chains(const TaskGraph& graph) {
  assign(graph);
  clock_.assign(graph.size() * count(), 0);
  for (const TaskId task : graph.order) {
    std::int32_t* clock = clock_.data() + index(task) * count();
    if (behind_[index(task)] != TaskId{-1}) merge(clock, behind_[index(task)]);
    for (const TaskId predecessor : graph.after[index(task)]) merge(clock, predecessor);
  }
}

void Chains::assign(const TaskGraph& graph) {
  std::map<std::pair<DeviceId, StreamId>, std::size_t> chains;
  std::vector<TaskId> last;
  std::vector<std::int32_t> length;
  chain_.resize(graph.size());
  position_.resize(graph.size());
  rank_.resize(graph.size());
  behind_.resize(graph.size());
  std::int32_t rank = 0;
  for (const TaskId task : graph.order) {
    const std::size_t i = index(task);
    const auto [entry, added] = chains.try_emplace({graph.device[i], graph.stream[i]}, count());
    if (added) {
      device_.push_back(graph.device[i]);
      last.push_back(TaskId{-1});
      length.push_back(0);
    }
    chain_[i] = entry->second;
    position_[i] = length[chain_[i]]++;
    rank_[i] = rank++;
    behind_[i] = std::exchange(last[chain_[i]], task);
  }
}

void Chains::merge(std::int32_t* clock, TaskId predecessor) const {
  const std::size_t p = index(predecessor);
  const std::int32_t* earlier = clock_.data() + p * count();
  for (std::size_t i = 0; i < count(); ++i) clock[i] = std::max(clock[i], earlier[i]);
  clock[chain_[p]] = std::max(clock[chain_[p]], position_[p] + 1);
}

std::vector<TaskId> Chains::waits(const TaskGraph& graph, TaskId task) const {
  std::vector<std::int32_t> known(count(), 0);
  if (behind_[index(task)] != TaskId{-1}) merge(known.data(), behind_[index(task)]);
  const auto after = graph.after[index(task)];
  std::vector<TaskId> latest(after.begin(), after.end());
  std::sort(latest.begin(), latest.end(),
            [this](TaskId a, TaskId b) { return rank_[index(a)] > rank_[index(b)]; });
  std::vector<TaskId> result;
  for (const TaskId predecessor : latest) {
    if (known[chain(predecessor)] > position_[index(predecessor)]) continue;
    result.push_back(predecessor);
    merge(known.data(), predecessor);
  }
  return result;
}

std::string described(const TaskGraph& graph, TaskId task) {
  return fmt::format("task {} ({})", static_cast<int>(task), task_name(graph, task));
}

}  // namespace foreplan
