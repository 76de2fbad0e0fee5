#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/arena.hpp"
#include "runtime/backend.hpp"
#include "runtime/chains.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// Runs a TaskGraph on a backend, exactly as it stands: every task is a kernel or a copy, every
/// stream of the graph a stream of the backend, every dependency across streams an event (unless
/// others imply it).
///
///   HostBackend backend(graph.devices);
///   Executor executor(graph, backend);
///   executor.write(input, samples);
///   MeasuredStep step = executor.step({.step = 1, .global_batch = 128});
///
/// The backend belongs to this executor until another one is made for it; graph and backend must
/// outlive it. Persistent buffers start as zeros.
class Executor {
 public:
  /// Plans the arenas and records the step.
  /// @throws Error(invalid_argument) naming the task if the backend has fewer devices than the
  ///   graph, a task cannot be run (no kernel, no data, operands too small), or the graph is unsafe
  ///   (`check_accesses`)
  Executor(const TaskGraph& graph, Backend& backend);

  /// Runs the step once; instants of the timeline count from when all devices have begun.
  MeasuredStep step(const StepContext& context);

  /// Copies to and from persistent buffers, between steps.
  /// @throws Error(invalid_argument) if the buffer is not persistent or sizes disagree
  void write(const BufferRange& range, std::span<const std::byte> data);
  void read(const BufferRange& range, std::span<std::byte> data) const;

  const TaskGraph& graph() const { return *graph_; }
  const ArenaPlan& arenas() const { return arenas_; }

 private:
  void record();
  void record_task(TaskId task, BackendStream stream);
  void check_operands(TaskId task) const;
  void check_range(const BufferRange& range, std::size_t size) const;
  std::byte* address(const BufferRange& range) const;

  const TaskGraph* graph_;
  Backend* backend_;
  Chains chains_;
  ArenaPlan arenas_;
};

}  // namespace foreplan
