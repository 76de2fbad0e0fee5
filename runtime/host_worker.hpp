#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/host_kernels.hpp"
#include "runtime/step_gate.hpp"

namespace foreplan {

/// Happened in run `run`, and before: what a stream records and others wait for.
struct alignas(64) HostEvent {
  std::atomic<std::uint32_t> run{0};
};

/// One entry of a stream.
struct HostCommand {
  enum class Kind : std::uint8_t { call, copy, record, wait };
  Kind kind{};
  TaskId task{-1};                          ///< call, copy
  std::unique_ptr<HostCall> call{};         ///< call
  const std::byte* from = nullptr;          ///< copy
  std::byte* to = nullptr;                  ///< copy
  std::size_t size = 0;                     ///< copy
  HostEvent* event = nullptr;               ///< record, wait
  HostClock::time_point start{}, finish{};  ///< call, copy: in the last run
};

/// A FIFO of commands, replayed run by run.
struct HostStream {
  std::vector<HostCommand> commands;
  std::size_t next = 0;  ///< in the current run
};

/// The thread that is a host device: it replays its streams once a run.
///
/// Streams take turns: the first whose head can go runs one task, then the next is asked.
class HostWorker {
 public:
  /// @param spins  as Spinner's
  HostWorker(StepGate& gate, int core, int spins);
  ~HostWorker();
  HostWorker(const HostWorker&) = delete;
  HostWorker& operator=(const HostWorker&) = delete;

  // For the caller, between runs.
  std::vector<HostStream>& streams() { return streams_; }
  const std::vector<HostStream>& streams() const { return streams_; }
  void set_context(const StepContext& context) { context_ = context; }
  /// An involuntary context switch hit the last run.
  bool disturbed() const { return disturbed_; }
  /// What went wrong in the last run; empty if nothing did.
  const std::string& failure() const { return failure_; }
  TaskId failed_task() const { return task_; }

 private:
  void serve(int core);
  void replay(std::uint32_t run);
  bool advance(HostStream& stream, std::uint32_t run);
  void execute(HostCommand& command);

  StepGate& gate_;
  Spinner spinner_;
  std::vector<HostStream> streams_;
  StepContext context_;
  std::string failure_;
  TaskId task_{-1};
  bool disturbed_ = false;
  std::thread thread_;
};

}  // namespace foreplan
