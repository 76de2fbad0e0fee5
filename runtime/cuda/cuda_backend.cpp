#include "runtime/cuda/cuda_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/cuda/check.hpp"
#include "runtime/cuda/cuda_step.hpp"
#include "runtime/cuda/host_clock.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

int gpu_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  ignore(status);
  throw Error(ErrorCode::unavailable,
              fmt::format("backend cuda: cudaGetDeviceCount: {}",
                          status == cudaSuccess ? "no GPU" : cudaGetErrorString(status)));
}

}  // namespace

CudaBackend::CudaBackend(const CudaOptions& options) : options_(options) {
  if (options.devices < 1) {
    reject(fmt::format("cuda backend: expected at least 1 device, got {}", options.devices));
  }
  if (options.graph && options.tracer != nullptr) {
    reject("cuda backend: a CUDA graph cannot be traced task by task; expected one of the two");
  }
  const int used = std::min(gpu_count(), options.devices);
  for (int id = 0; id < used; ++id) {
    const CurrentGpu current(id);
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, id), "cudaGetDeviceProperties");
    Gpu gpu;
    gpu.id = id;
    gpu.multiprocessors = properties.multiProcessorCount;
    gpu.blas = make_blas();
    gpu.step = make_gpu_memory(sizeof(CudaStep));
    gpu.faults = std::make_unique<FaultBoard>();
    gpus_.push_back(std::move(gpu));
  }
  enable_peer_access();
  for (int i = 0; i < options.devices; ++i) {
    devices_.emplace_back();
    devices_.back().gpu = static_cast<std::size_t>(i % used);
  }
}

CudaBackend::~CudaBackend() {
  for (const Stream& stream : streams_) ignore(cudaStreamSynchronize(stream.handle.get()));
}

void CudaBackend::enable_peer_access() {
  paths_.assign(gpus_.size(), std::vector<CopyPath>(gpus_.size(), CopyPath::same_gpu));
  for (std::size_t a = 0; a < gpus_.size(); ++a) {
    const CurrentGpu current(gpus_[a].id);
    for (std::size_t b = 0; b < gpus_.size(); ++b) {
      if (a == b) continue;
      int can = 0;
      check(cudaDeviceCanAccessPeer(&can, gpus_[a].id, gpus_[b].id), "cudaDeviceCanAccessPeer");
      paths_[a][b] = can != 0 ? CopyPath::peer : CopyPath::staged;
      if (can == 0) continue;
      const cudaError_t status = cudaDeviceEnablePeerAccess(gpus_[b].id, 0);
      ignore(status);
      if (status != cudaErrorPeerAccessAlreadyEnabled) check(status, "cudaDeviceEnablePeerAccess");
    }
  }
}

CopyPath CudaBackend::copy_path(DeviceId source, DeviceId destination) const {
  return paths_[devices_[checked(source)].gpu][devices_[checked(destination)].gpu];
}

std::string CudaBackend::path(DeviceId source, DeviceId destination) const {
  switch (copy_path(source, destination)) {
    case CopyPath::same_gpu: return "same_gpu";
    case CopyPath::peer: return "peer";
    case CopyPath::staged: return "staged";
  }
  return {};
}

std::string CudaBackend::choice(TaskId task) const {
  const auto& commands = recording_.commands();
  const auto found = std::find_if(commands.begin(), commands.end(), [&](const auto& command) {
    return command.kind == Recording::Command::Kind::launch && command.task == task;
  });
  if (found == commands.end()) return {};
  return work_[static_cast<std::size_t>(found - commands.begin())].call->choice();
}

std::size_t CudaBackend::checked(DeviceId device) const {
  if (index(device) < devices_.size()) return index(device);
  reject(fmt::format("cuda backend: expected a device in 0..{}, got {}", devices_.size() - 1,
                     static_cast<int>(device)));
}

std::byte* CudaBackend::checked_range(DeviceId device, Bytes offset, std::size_t size) const {
  const DeviceArena& arena = devices_[checked(device)].arena;
  if (offset.count < 0 || static_cast<std::size_t>(offset.count) + size > arena.size()) {
    reject(fmt::format(
        "cuda backend: bytes {} to {} are outside the arena of {} bytes of device {}", offset.count,
        static_cast<std::size_t>(offset.count) + size, arena.size(), static_cast<int>(device)));
  }
  return arena.data() + offset.count;
}

std::size_t CudaBackend::device_of(const std::byte* pointer, std::size_t size) const {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const DeviceArena& arena = devices_[i].arena;
    if (pointer >= arena.data() && pointer + size <= arena.data() + arena.size()) return i;
  }
  reject("cuda backend: an end of a copy is not inside an arena");
}

void CudaBackend::forget() {
  synchronise();
  graph_ = {};
  clock_.reset();
  work_.clear();
  streams_.clear();
  events_.clear();
  order_.clear();
  recording_.clear();
  for (const Gpu& gpu : gpus_) gpu.faults->clear();
  prepared_ = false;
}

void CudaBackend::reserve(DeviceId device, Bytes bytes) {
  Device& one = devices_[checked(device)];
  if (bytes.count < 0) reject("cuda backend: expected an arena of 0 bytes or more");
  forget();
  one.arena = {};
  std::vector<int> peers;
  for (std::size_t gpu = 0; gpu < gpus_.size(); ++gpu) {
    if (paths_[one.gpu][gpu] == CopyPath::peer) peers.push_back(gpus_[gpu].id);
  }
  one.arena = DeviceArena(gpus_[one.gpu].id, static_cast<std::size_t>(bytes.count), peers);
}

std::byte* CudaBackend::address(DeviceId device, Bytes offset) {
  return checked_range(device, offset, 0);
}

void CudaBackend::write(DeviceId device, Bytes offset, std::span<const std::byte> data) {
  std::byte* const to = checked_range(device, offset, data.size());
  if (data.empty()) return;
  check(cudaMemcpy(to, data.data(), data.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
}

void CudaBackend::read(DeviceId device, Bytes offset, std::span<std::byte> data) {
  const std::byte* const from = checked_range(device, offset, data.size());
  if (data.empty()) return;
  check(cudaMemcpy(data.data(), from, data.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
}

BackendStream CudaBackend::add_stream(DeviceId device) {
  Stream stream;
  stream.gpu = devices_[checked(device)].gpu;
  const CurrentGpu current(gpus_[stream.gpu].id);
  stream.handle = make_stream();
  streams_.push_back(std::move(stream));
  return recording_.add_stream(device);
}

EventId CudaBackend::add_event() {
  events_.emplace_back();  // made by the first record, on that stream's GPU
  return recording_.add_event();
}

CudaStreamContext CudaBackend::context_of(Stream& stream) {
  const Gpu& gpu = gpus_[stream.gpu];
  if (!stream.workspace) stream.workspace = make_gpu_memory(options_.workspace_bytes);
  return {.multiprocessors = gpu.multiprocessors,
          .blas = gpu.blas.get(),
          .workspace = stream.workspace.get(),
          .workspace_bytes = options_.workspace_bytes,
          .step = static_cast<const CudaStep*>(gpu.step.get()),
          .fault = gpu.faults->next()};
}

void CudaBackend::launch(BackendStream stream, TaskId task, const Op& op,
                         std::vector<const std::byte*> reads, std::vector<std::byte*> writes) {
  recording_.add({.kind = Recording::Command::Kind::launch, .stream = stream, .task = task});
  Stream& on = streams_[index(stream)];
  const CurrentGpu current(gpus_[on.gpu].id);
  Work work;
  work.call = make_cuda_call(context_of(on), op, std::move(reads), std::move(writes));
  const std::int64_t classes = work.call->classes();
  if (classes > 0) gpus_[on.gpu].faults->take(recording_.device(stream), task, classes);
  work_.push_back(std::move(work));
  prepared_ = false;
}

void CudaBackend::copy(BackendStream stream, TaskId task, const std::byte* from, std::byte* to,
                       Bytes size) {
  if (size.count < 0) reject("cuda backend: expected a copy of 0 bytes or more");
  Work work{.call = nullptr,
            .from = from,
            .to = to,
            .size = static_cast<std::size_t>(size.count)};
  if (work.size > 0) {
    work.source_gpu = gpus_[devices_[device_of(from, work.size)].gpu].id;
    work.destination_gpu = gpus_[devices_[device_of(to, work.size)].gpu].id;
  }
  recording_.add({.kind = Recording::Command::Kind::copy, .stream = stream, .task = task});
  work_.push_back(std::move(work));
  prepared_ = false;
}

void CudaBackend::record(BackendStream stream, EventId event) {
  recording_.add({.kind = Recording::Command::Kind::record, .stream = stream, .event = event});
  if (!events_[index(event)]) {
    const CurrentGpu current(gpus_[streams_[index(stream)].gpu].id);
    events_[index(event)] = make_event(false);
  }
  work_.emplace_back();
  prepared_ = false;
}

void CudaBackend::wait(BackendStream stream, EventId event) {
  recording_.add({.kind = Recording::Command::Kind::wait, .stream = stream, .event = event});
  work_.emplace_back();
  prepared_ = false;
}

void CudaBackend::enqueue(const Work& work, cudaStream_t stream) const {
  if (work.call) {
    work.call->enqueue(stream);
  } else if (work.size == 0) {
    return;
  } else if (work.source_gpu == work.destination_gpu) {
    check(cudaMemcpyAsync(work.to, work.from, work.size, cudaMemcpyDeviceToDevice, stream),
          "cudaMemcpyAsync");
  } else {
    check(cudaMemcpyPeerAsync(work.to, work.destination_gpu, work.from, work.source_gpu, work.size,
                              stream),
          "cudaMemcpyPeerAsync");
  }
}

void CudaBackend::issue(std::size_t i, cudaStream_t stream) {
  const Recording::Command& command = recording_.commands()[i];
  if (command.kind == Recording::Command::Kind::record) {
    return check(cudaEventRecord(events_[index(command.event)].get(), stream), "cudaEventRecord");
  }
  if (command.kind == Recording::Command::Kind::wait) {
    return check(cudaStreamWaitEvent(stream, events_[index(command.event)].get(), 0),
                 "cudaStreamWaitEvent");
  }
  if (options_.tracer != nullptr) {
    options_.tracer->begin_task(command.task);
    enqueue(work_[i], stream);
    options_.tracer->end_task();
  } else {
    clock_->begin_task(command.task, streams_[index(command.stream)].gpu, stream);
    enqueue(work_[i], stream);
    clock_->end_task(command.task, stream);
  }
}

void CudaBackend::issue() {
  std::size_t gpu = gpus_.size();
  for (const std::size_t i : order_) {
    const Recording::Command& command = recording_.commands()[i];
    const Stream& stream = streams_[index(command.stream)];
    if (stream.gpu != gpu) {
      gpu = stream.gpu;
      check(cudaSetDevice(gpus_[gpu].id), "cudaSetDevice");
    }
    try {
      issue(i, stream.handle.get());
    } catch (const Error& error) {
      if (options_.tracer != nullptr) options_.tracer->end_task();
      throw Error(ErrorCode::failed,
                  fmt::format("device {}, task {}: {}",
                              static_cast<int>(recording_.device(command.stream)),
                              static_cast<int>(command.task), error.what()));
    }
  }
}

// The capture begins on a stream of its own, which every other stream waits for, and which waits for
// every other stream at the end.
void CudaBackend::capture() {
  const CurrentGpu current(gpus_[0].id);
  origin_ = make_stream();
  const EventHandle begin = make_event(false);
  check(cudaStreamBeginCapture(origin_.get(), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  cudaGraph_t graph{};
  std::vector<EventHandle> ends;
  try {
    check(cudaEventRecord(begin.get(), origin_.get()), "cudaEventRecord");
    for (const Stream& stream : streams_) {
      check(cudaStreamWaitEvent(stream.handle.get(), begin.get(), 0), "cudaStreamWaitEvent");
    }
    issue();
    for (const Stream& stream : streams_) {
      const CurrentGpu here(gpus_[stream.gpu].id);
      ends.push_back(make_event(false));
      check(cudaEventRecord(ends.back().get(), stream.handle.get()), "cudaEventRecord");
      check(cudaStreamWaitEvent(origin_.get(), ends.back().get(), 0), "cudaStreamWaitEvent");
    }
  } catch (const Error&) {
    ignore(cudaStreamEndCapture(origin_.get(), &graph));
    const GraphHandle broken(graph);
    throw;
  }
  check(cudaStreamEndCapture(origin_.get(), &graph), "cudaStreamEndCapture");
  const GraphHandle captured(graph);
  cudaGraphExec_t made{};
  check(cudaGraphInstantiate(&made, graph, 0), "cudaGraphInstantiate");
  graph_ = GraphExecHandle(made);
}

void CudaBackend::prepare() {
  if (prepared_) return;
  order_ = recording_.issue_order();
  std::vector<int> ids;
  for (const Gpu& gpu : gpus_) ids.push_back(gpu.id);
  graph_ = {};
  clock_ = std::make_unique<StepClock>(ids, options_.graph);
  if (options_.graph) capture();
  prepared_ = true;
}

void CudaBackend::write_step(const StepContext& context) {
  const CudaStep step = cuda_step(context);
  for (const Gpu& gpu : gpus_) {
    check(cudaMemcpy(gpu.step.get(), &step, sizeof step, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
}

void CudaBackend::synchronise() {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const cudaError_t status = cudaStreamSynchronize(streams_[i].handle.get());
    if (status == cudaSuccess) continue;
    ignore(status);
    throw Error(ErrorCode::failed,
                fmt::format("device {}: cudaStreamSynchronize: {} (with CUDA_LAUNCH_BLOCKING=1 the "
                            "message names the task)",
                            static_cast<int>(recording_.device(BackendStream{
                                static_cast<std::int32_t>(i)})),
                            cudaGetErrorString(status)));
  }
}

void CudaBackend::check_faults() {
  for (const Gpu& gpu : gpus_) {
    const auto reports = gpu.faults->collect();
    if (reports.empty()) continue;
    const FaultBoard::Report& first = reports.front();
    throw Error(ErrorCode::failed,
                fmt::format("device {}, task {}: sample {}: expected a label in 0..{}, got {}",
                            static_cast<int>(first.device), static_cast<int>(first.task), first.row,
                            first.classes - 1, first.label));
  }
}

MeasuredStep CudaBackend::run(std::size_t tasks, const StepContext& context) {
  recording_.check_tasks(tasks);
  const CurrentGpu current(gpus_[0].id);
  prepare();
  write_step(context);
  if (options_.tracer == nullptr) clock_->begin_step();
  const Duration begun = host_now();
  Duration issued{};
  if (options_.graph) {
    check(cudaGraphLaunch(graph_.get(), origin_.get()), "cudaGraphLaunch");
    issued = host_now() - begun;
    check(cudaStreamSynchronize(origin_.get()), "cudaStreamSynchronize");
  } else {
    issue();
    issued = host_now() - begun;
  }
  synchronise();
  check_faults();
  MeasuredStep step;
  if (options_.tracer != nullptr) {
    step = options_.tracer->collect(tasks);
  } else {
    step.timeline = clock_->read(tasks);
  }
  step.issued = issued;
  step.disturbed.assign(devices_.size(), false);
  return step;
}

}  // namespace foreplan
