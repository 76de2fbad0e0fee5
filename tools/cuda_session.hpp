#pragma once

#include <memory>
#include <vector>

#include "profiler/correlate.hpp"
#include "profiler/cupti/plugin_interface.hpp"
#include "profiler/session.hpp"
#include "runtime/activity_tracer.hpp"
#include "runtime/cuda/plugin_interface.hpp"
#include "runtime/executor.hpp"

namespace foreplan {

/// The two plugins of the CUDA half.
struct CudaHalf {
  const CudaPlugin& cuda;
  const CuptiPlugin& cupti;
};

/// Both plugins, where there is a GPU for them.
/// @throws Error(unavailable) telling which is missing or why there is no GPU
CudaHalf cuda_half();

/// Ties what CUPTI records to the tasks of the step that a CudaBackend issues.
class CuptiTracer final : public ActivityTracer {
 public:
  /// Opens CUPTI's session for this process.
  /// @throws Error(unavailable) as open_cupti_session
  CuptiTracer(const CuptiPlugin& cupti, const std::vector<GpuDescription>& gpus);
  void begin_task(TaskId task) override { session_->push(external_of(task)); }
  void end_task() override { session_->pop(); }
  MeasuredStep collect(std::size_t tasks) override;

 private:
  std::unique_ptr<ActivitySession> session_;
  std::vector<MultiprocessorLimits> limits_;  ///< by GPU
};

/// The profiler's Session on this machine's GPUs: each graph has a CudaBackend of its own, all of them
/// timed by CUPTI. Buffers begin as `fill` leaves them; the learning rate is zero.
class CudaSession final : public Session {
 public:
  /// @param devices  logical ones: device i lives on GPU i modulo their number
  /// @throws Error(unavailable) if there is no GPU, or CUPTI is not to be had
  CudaSession(const CudaHalf& half, int devices);

  int devices() const override { return devices_; }
  std::size_t load(const TaskGraph& graph) override;
  void unload(std::size_t loaded) override { loaded_.at(loaded).reset(); }
  MeasuredStep step(std::size_t loaded) override;
  bool issues_ahead() const override { return true; }
  std::string choice(std::size_t loaded, TaskId task) const override;
  std::string path(DeviceId source, DeviceId destination) const override;

  const std::vector<GpuDescription>& gpus() const { return gpus_; }
  /// For backends beside the session's own: one process has one.
  ActivityTracer& tracer() { return tracer_; }
  /// How long the program waits for a copy of `bytes` between pageable host memory and a device.
  Duration host_copy(DeviceId device, Bytes bytes, bool to_device);

 private:
  struct Loaded {
    TaskGraph graph;
    std::unique_ptr<Backend> backend;
    std::unique_ptr<Executor> executor;
    std::int64_t steps = 0;
  };
  std::unique_ptr<Backend> make_backend(int devices);

  CudaHalf half_;
  int devices_;
  std::vector<GpuDescription> gpus_;
  CuptiTracer tracer_;
  std::unique_ptr<Backend> idle_;  ///< tells paths and copies from and to the host
  std::vector<std::unique_ptr<Loaded>> loaded_;
};

}  // namespace foreplan
