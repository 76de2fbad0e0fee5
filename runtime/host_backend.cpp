#include "runtime/host_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "runtime/host_thread.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

// Devices that share a core cannot both spin on it.
constexpr int kSpinsAlone = 5000;
constexpr int kSpinsShared = 50;

Duration since(HostClock::time_point zero, HostClock::time_point instant) {
  return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(instant - zero));
}

}  // namespace

HostBackend::HostBackend(int devices) : cores_(available_cores()) {
  if (devices < 1) reject(fmt::format("host backend: expected at least 1 device, got {}", devices));
  gate_ = std::make_unique<StepGate>(devices);
  arenas_.resize(static_cast<std::size_t>(devices));
  const bool alone = static_cast<std::size_t>(devices) <= cores_.size();
  try {
    for (std::size_t i = 0; i < arenas_.size(); ++i) {
      workers_.push_back(std::make_unique<HostWorker>(*gate_, cores_[i % cores_.size()],
                                                      alone ? kSpinsAlone : kSpinsShared));
    }
  } catch (const std::system_error& error) {
    const std::size_t started = workers_.size();
    gate_->close();
    workers_.clear();
    throw Error(ErrorCode::unavailable,
                fmt::format("host backend: no thread for device {}: {}", started, error.what()));
  }
}

HostBackend::~HostBackend() {
  gate_->close();
  workers_.clear();
}

std::size_t HostBackend::checked(DeviceId device) const {
  if (index(device) < workers_.size()) return index(device);
  reject(fmt::format("host backend: expected a device in 0..{}, got {}", workers_.size() - 1,
                     static_cast<int>(device)));
}

std::byte* HostBackend::checked_range(DeviceId device, Bytes offset, std::size_t size) {
  const HostMemory& arena = arenas_[checked(device)];
  if (offset.count < 0 || static_cast<std::size_t>(offset.count) + size > arena.size()) {
    reject(fmt::format(
        "host backend: bytes {} to {} are outside the arena of {} bytes of device {}", offset.count,
        static_cast<std::size_t>(offset.count) + size, arena.size(), static_cast<int>(device)));
  }
  return arena.data() + offset.count;
}

void HostBackend::forget() {
  for (const auto& worker : workers_) worker->streams().clear();
  streams_.clear();
  events_.clear();
  recording_.clear();
  checked_recording_ = false;
}

void HostBackend::reserve(DeviceId device, Bytes bytes) {
  const std::size_t i = checked(device);
  if (bytes.count < 0) reject("host backend: expected an arena of 0 bytes or more");
  forget();
  arenas_[i] = {};
  arenas_[i] = HostMemory(static_cast<std::size_t>(bytes.count), cores_[i % cores_.size()]);
}

std::byte* HostBackend::address(DeviceId device, Bytes offset) {
  return checked_range(device, offset, 0);
}

void HostBackend::write(DeviceId device, Bytes offset, std::span<const std::byte> data) {
  std::byte* to = checked_range(device, offset, data.size());
  if (!data.empty()) std::memcpy(to, data.data(), data.size());
}

void HostBackend::read(DeviceId device, Bytes offset, std::span<std::byte> data) {
  const std::byte* from = checked_range(device, offset, data.size());
  if (!data.empty()) std::memcpy(data.data(), from, data.size());
}

BackendStream HostBackend::add_stream(DeviceId device) {
  std::vector<HostStream>& streams = workers_[checked(device)]->streams();
  streams.emplace_back();
  streams_.push_back({index(device), streams.size() - 1});
  return recording_.add_stream(device);
}

EventId HostBackend::add_event() {
  events_.emplace_back();
  return recording_.add_event();
}

void HostBackend::add(const Recording::Command& what, HostCommand command) {
  recording_.add(what);
  checked_recording_ = false;
  command.task = what.task;
  const StreamPlace place = streams_[index(what.stream)];
  workers_[place.device]->streams()[place.stream].commands.push_back(std::move(command));
}

void HostBackend::launch(BackendStream stream, TaskId task, const Op& op,
                         std::vector<const std::byte*> reads, std::vector<std::byte*> writes) {
  add({.kind = Recording::Command::Kind::launch, .stream = stream, .task = task},
      {.kind = HostCommand::Kind::call,
       .call = make_host_call(op, std::move(reads), std::move(writes))});
}

void HostBackend::copy(BackendStream stream, TaskId task, const std::byte* from, std::byte* to,
                       Bytes size) {
  if (size.count < 0) reject("host backend: expected a copy of 0 bytes or more");
  add({.kind = Recording::Command::Kind::copy, .stream = stream, .task = task},
      {.kind = HostCommand::Kind::copy,
       .from = from,
       .to = to,
       .size = static_cast<std::size_t>(size.count)});
}

void HostBackend::record(BackendStream stream, EventId event) {
  HostEvent* const here = index(event) < events_.size() ? &events_[index(event)] : nullptr;
  add({.kind = Recording::Command::Kind::record, .stream = stream, .event = event},
      {.kind = HostCommand::Kind::record, .event = here});
}

void HostBackend::wait(BackendStream stream, EventId event) {
  HostEvent* const here = index(event) < events_.size() ? &events_[index(event)] : nullptr;
  add({.kind = Recording::Command::Kind::wait, .stream = stream, .event = event},
      {.kind = HostCommand::Kind::wait, .event = here});
}

void HostBackend::check_failures() const {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->failure().empty()) continue;
    throw Error(ErrorCode::failed,
                fmt::format("device {}, task {}: {}", i,
                            static_cast<int>(workers_[i]->failed_task()), workers_[i]->failure()));
  }
}

MeasuredStep HostBackend::measured(std::size_t tasks) const {
  MeasuredStep step;
  step.timeline.start.resize(tasks);
  step.timeline.finish.resize(tasks);
  const HostClock::time_point zero = gate_->zero();
  for (const auto& worker : workers_) {
    step.disturbed.push_back(worker->disturbed());
    for (const HostStream& stream : worker->streams()) {
      for (const HostCommand& command : stream.commands) {
        if (command.task == TaskId{-1}) continue;
        step.timeline.start[index(command.task)] = since(zero, command.start);
        step.timeline.finish[index(command.task)] = since(zero, command.finish);
      }
    }
  }
  return step;
}

MeasuredStep HostBackend::run(std::size_t tasks, const StepContext& context) {
  recording_.check_tasks(tasks);
  if (!checked_recording_) static_cast<void>(recording_.issue_order());
  checked_recording_ = true;
  for (const auto& worker : workers_) worker->set_context(context);
  gate_->run();
  check_failures();
  return measured(tasks);
}

}  // namespace foreplan
