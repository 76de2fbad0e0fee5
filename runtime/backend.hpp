#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// What changes from step to step and reaches every kernel.
struct StepContext {
  std::int64_t step = 1;  ///< counts from 1
  std::int64_t global_batch = 0;
  double learning_rate = 0.1;
  double momentum = 0.9;                              ///< sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< adam
};

enum class EventId : std::int32_t {};
/// A stream of a backend: of one device, FIFO.
enum class BackendStream : std::int32_t {};

/// Devices with memory, streams and events.
///
/// Work is recorded once, in order of each stream, and then replayed step by step; the recording is
/// what a CUDA graph captures. Host and CUDA implement it; nothing above knows which.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;
  virtual int devices() const = 0;

  /// Forgets all recordings and gives `device` an arena of `bytes`, touched and ready.
  virtual void reserve(DeviceId device, Bytes bytes) = 0;
  virtual std::byte* address(DeviceId device, Bytes offset) = 0;
  /// Copies between the caller's memory and an arena; no step may be running.
  virtual void write(DeviceId device, Bytes offset, std::span<const std::byte> data) = 0;
  virtual void read(DeviceId device, Bytes offset, std::span<std::byte> data) = 0;

  virtual BackendStream add_stream(DeviceId device) = 0;
  virtual EventId add_event() = 0;
  /// Records a kernel; `task` tags its span in the Timeline.
  virtual void launch(BackendStream stream, TaskId task, const Op& op,
                      std::vector<const std::byte*> reads, std::vector<std::byte*> writes) = 0;
  virtual void copy(BackendStream stream, TaskId task, const std::byte* from, std::byte* to,
                    Bytes size) = 0;
  virtual void record(BackendStream stream, EventId event) = 0;
  virtual void wait(BackendStream stream, EventId event) = 0;

  /// Runs everything recorded, once, on all devices together, and waits for the end.
  /// @param tasks  how many tasks the timeline has
  virtual MeasuredStep run(std::size_t tasks, const StepContext& context) = 0;

  /// What a library chose to run for a recorded task, for profiles; empty where nobody says.
  virtual std::string choice(TaskId) const { return {}; }
  /// How a copy from one device to another goes: "same_gpu", "peer" or "staged" through the host; empty
  /// where there is but one way.
  virtual std::string path(DeviceId, DeviceId) const { return {}; }
};

}  // namespace foreplan
