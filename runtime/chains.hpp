#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// The order that an execution of a graph keeps: tasks in chains, one behind the other, and vector
/// clocks across chains.
///
/// A chain is a stream of a device; the tasks of a device that name no stream make up one more, in
/// topological order. The executor gives each chain a stream of the backend, so that what is before
/// by these clocks is before in every run.
class Chains {
 public:
  explicit Chains(const TaskGraph& graph);

  std::size_t count() const { return device_.size(); }
  DeviceId device(std::size_t chain) const { return device_[chain]; }
  std::size_t chain(TaskId task) const { return chain_[index(task)]; }

  /// Whether `a` has finished whenever `b` starts.
  bool before(TaskId a, TaskId b) const {
    return clock_[index(b) * count() + chain(a)] > position_[index(a)];
  }
  /// Whether one of them has finished before the other starts.
  bool ordered(TaskId a, TaskId b) const { return before(a, b) || before(b, a); }

  /// The predecessors of `task` on other chains that neither its own chain nor one another imply:
  /// what it has to wait for; the latest first.
  std::vector<TaskId> waits(const TaskGraph& graph, TaskId task) const;

 private:
  void assign(const TaskGraph& graph);
  void merge(std::int32_t* clock, TaskId predecessor) const;

  std::vector<DeviceId> device_;
  std::vector<std::size_t> chain_;      ///< by task
  std::vector<std::int32_t> position_;  ///< by task, in its chain
  std::vector<std::int32_t> rank_;      ///< by task, in the topological order
  std::vector<TaskId> behind_;          ///< by task: the one before it in its chain, or -1
  /// By task and chain: how many tasks of the chain have finished when the task starts.
  std::vector<std::int32_t> clock_;
};

/// `task_name` with the task's number: for messages.
std::string described(const TaskGraph& graph, TaskId task);

}  // namespace foreplan
