#include "tools/cuda_session.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "tools/cuda_plugins.hpp"
#include "tools/fill.hpp"

namespace foreplan {
namespace {

std::vector<MultiprocessorLimits> limits_of(const std::vector<GpuDescription>& gpus) {
  std::vector<MultiprocessorLimits> limits;
  for (const GpuDescription& gpu : gpus) {
    limits.push_back({.multiprocessors = gpu.multiprocessors,
                      .threads = gpu.threads,
                      .blocks = gpu.blocks,
                      .registers = gpu.registers,
                      .shared_bytes = gpu.shared_bytes});
  }
  return limits;
}

}  // namespace

CudaHalf cuda_half() {
  const CudaHalf half{.cuda = cuda_plugin(), .cupti = cupti_plugin()};
  half.cuda.find_gpus();
  return half;
}

CuptiTracer::CuptiTracer(const CuptiPlugin& cupti, const std::vector<GpuDescription>& gpus)
    : session_(cupti.open()), limits_(limits_of(gpus)) {}

MeasuredStep CuptiTracer::collect(std::size_t tasks) {
  return correlate(session_->collect(), tasks, limits_);
}

CudaSession::CudaSession(const CudaHalf& half, int devices)
    : half_(half),
      devices_(devices),
      gpus_(half.cuda.find_gpus()),
      tracer_(half.cupti, gpus_),
      idle_(make_backend(devices)) {}

std::unique_ptr<Backend> CudaSession::make_backend(int devices) {
  return half_.cuda.make_backend({.devices = devices, .tracer = &tracer_});
}

std::size_t CudaSession::load(const TaskGraph& graph) {
  auto loaded = std::make_unique<Loaded>();
  loaded->graph = graph;
  loaded->backend = make_backend(graph.devices);
  loaded->executor = std::make_unique<Executor>(loaded->graph, *loaded->backend);
  fill(*loaded->executor);
  loaded_.push_back(std::move(loaded));
  return loaded_.size() - 1;
}

MeasuredStep CudaSession::step(std::size_t loaded) {
  Loaded& one = *loaded_.at(loaded);
  return one.executor->step({.step = ++one.steps,
                             .global_batch = std::max<std::int64_t>(one.graph.global_batch, 1),
                             .learning_rate = 0});
}

std::string CudaSession::choice(std::size_t loaded, TaskId task) const {
  return loaded_.at(loaded)->backend->choice(task);
}

std::string CudaSession::path(DeviceId source, DeviceId destination) const {
  return idle_->path(source, destination);
}

Duration CudaSession::host_copy(DeviceId device, Bytes bytes, bool to_device) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::byte> data(static_cast<std::size_t>(bytes.count), std::byte{1});
  idle_->reserve(device, bytes);
  idle_->write(device, {}, data);  // touches both ends
  const Clock::time_point begun = Clock::now();
  if (to_device) {
    idle_->write(device, {}, data);
  } else {
    idle_->read(device, {}, data);
  }
  const Duration time = Clock::now() - begun;
  idle_->reserve(device, {});
  return time;
}

}  // namespace foreplan
