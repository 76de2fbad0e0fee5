#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/host_worker.hpp"
#include "runtime/recording.hpp"
#include "runtime/step_gate.hpp"

namespace foreplan {

/// Devices made of this machine's cores: each is a thread, pinned to one core, with an arena.
///
/// Device i runs on core i modulo the cores that the process may use; devices that share a core
/// take turns. All streams of a device are served by its one thread, so nothing on it overlaps. A
/// copy is done by the device that receives it. Between runs the threads sleep.
class HostBackend final : public Backend {
 public:
  /// @throws Error(invalid_argument) if `devices` < 1
  explicit HostBackend(int devices);
  ~HostBackend() override;

  std::string name() const override { return "host"; }
  int devices() const override { return static_cast<int>(workers_.size()); }

  void reserve(DeviceId device, Bytes bytes) override;
  std::byte* address(DeviceId device, Bytes offset) override;
  void write(DeviceId device, Bytes offset, std::span<const std::byte> data) override;
  void read(DeviceId device, Bytes offset, std::span<std::byte> data) override;

  BackendStream add_stream(DeviceId device) override;
  EventId add_event() override;
  void launch(BackendStream stream, TaskId task, const Op& op, std::vector<const std::byte*> reads,
              std::vector<std::byte*> writes) override;
  void copy(BackendStream stream, TaskId task, const std::byte* from, std::byte* to,
            Bytes size) override;
  void record(BackendStream stream, EventId event) override;
  void wait(BackendStream stream, EventId event) override;

  /// @throws Error(invalid_argument) if a stream waits for an event that cannot come, or a task's id
  ///   is not below `tasks`
  /// @throws Error(failed) naming device and task if a kernel cannot go on
  MeasuredStep run(std::size_t tasks, const StepContext& context) override;

 private:
  struct StreamPlace {
    std::size_t device = 0, stream = 0;
  };

  std::size_t checked(DeviceId device) const;
  std::byte* checked_range(DeviceId device, Bytes offset, std::size_t size);
  void forget();
  void add(const Recording::Command& what, HostCommand command);
  void check_failures() const;
  MeasuredStep measured(std::size_t tasks) const;

  std::vector<int> cores_;
  std::unique_ptr<StepGate> gate_;
  std::vector<HostMemory> arenas_;
  std::deque<HostEvent> events_;
  std::vector<StreamPlace> streams_;
  Recording recording_{"host backend"};
  bool checked_recording_ = false;
  std::vector<std::unique_ptr<HostWorker>> workers_;
};

}  // namespace foreplan
