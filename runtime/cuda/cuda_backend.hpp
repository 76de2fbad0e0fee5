#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/activity_tracer.hpp"
#include "runtime/backend.hpp"
#include "runtime/cuda/cuda_call.hpp"
#include "runtime/cuda/cuda_options.hpp"
#include "runtime/cuda/device_arena.hpp"
#include "runtime/cuda/fault_board.hpp"
#include "runtime/cuda/handles.hpp"
#include "runtime/cuda/step_clock.hpp"
#include "runtime/recording.hpp"

namespace foreplan {

/// Devices made of this machine's GPUs: logical device i lives on GPU i modulo their number, with an
/// arena from a pool of its own and streams of its own.
///
/// One thread, the caller's, puts a step on all streams, in the order of the recording; or, with
/// `graph`, captures that once and launches the CUDA graph. Streams are CUDA streams, events CUDA
/// events, copies between GPUs peer copies: straight where peer access is possible, else staged
/// through the host by the driver (`copy_path` tells). Times come from an ActivityTracer where there
/// is one, else from timing events around each task; the first start is zero.
class CudaBackend final : public Backend {
 public:
  /// @throws Error(invalid_argument) if there are less than 1 devices or both graph and tracer
  /// @throws Error(unavailable) if there is no GPU
  explicit CudaBackend(const CudaOptions& options);
  ~CudaBackend() override;
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  std::string name() const override { return "cuda"; }
  int devices() const override { return static_cast<int>(devices_.size()); }

  void reserve(DeviceId device, Bytes bytes) override;
  std::byte* address(DeviceId device, Bytes offset) override;
  void write(DeviceId device, Bytes offset, std::span<const std::byte> data) override;
  void read(DeviceId device, Bytes offset, std::span<std::byte> data) override;

  BackendStream add_stream(DeviceId device) override;
  EventId add_event() override;
  void launch(BackendStream stream, TaskId task, const Op& op, std::vector<const std::byte*> reads,
              std::vector<std::byte*> writes) override;
  /// @throws Error(invalid_argument) if an end of the copy is not inside an arena
  void copy(BackendStream stream, TaskId task, const std::byte* from, std::byte* to,
            Bytes size) override;
  void record(BackendStream stream, EventId event) override;
  void wait(BackendStream stream, EventId event) override;

  /// @throws Error(invalid_argument) as HostBackend's
  /// @throws Error(failed) naming call, device and task; a kernel that fails while it runs is noticed
  ///   at the end of the step, when only the device is known
  MeasuredStep run(std::size_t tasks, const StepContext& context) override;

  std::string choice(TaskId task) const override;
  std::string path(DeviceId source, DeviceId destination) const override;
  /// How copies from one device to another go.
  CopyPath copy_path(DeviceId source, DeviceId destination) const;

 private:
  /// A GPU of the machine, as far as the devices on it share it.
  struct Gpu {
    int id = 0;
    int multiprocessors = 1;
    BlasHandle blas;
    GpuMemory step;  ///< a CudaStep
    std::unique_ptr<FaultBoard> faults;
  };
  struct Device {
    std::size_t gpu = 0;
    DeviceArena arena;
  };
  struct Stream {
    std::size_t gpu = 0;
    StreamHandle handle;
    GpuMemory workspace;
  };
  struct Work {
    std::unique_ptr<CudaCall> call;  ///< launch
    const std::byte* from = nullptr;  ///< copy, with what follows
    std::byte* to = nullptr;
    std::size_t size = 0;
    int source_gpu = 0, destination_gpu = 0;
  };

  std::size_t checked(DeviceId device) const;
  std::byte* checked_range(DeviceId device, Bytes offset, std::size_t size) const;
  std::size_t device_of(const std::byte* pointer, std::size_t size) const;
  void enable_peer_access();
  void forget();
  void prepare();
  void capture();
  void issue();
  void issue(std::size_t command, cudaStream_t stream);
  void enqueue(const Work& work, cudaStream_t stream) const;
  void write_step(const StepContext& context);
  void synchronise();
  void check_faults();
  CudaStreamContext context_of(Stream& stream);

  CudaOptions options_;
  std::vector<Gpu> gpus_;
  std::vector<Device> devices_;
  std::vector<std::vector<CopyPath>> paths_;  ///< by GPU

  // The recording, and what it takes to run it.
  Recording recording_{"cuda backend"};
  std::vector<Stream> streams_;
  std::vector<EventHandle> events_;
  std::deque<Work> work_;  ///< by command
  std::vector<std::size_t> order_;
  bool prepared_ = false;
  std::unique_ptr<StepClock> clock_;
  StreamHandle origin_;
  GraphExecHandle graph_;
};

}  // namespace foreplan
