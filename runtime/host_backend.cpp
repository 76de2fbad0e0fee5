#include "runtime/host_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <system_error>
#include <utility>

#include "runtime/host_thread.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

// Devices that share a core cannot both spin on it.
constexpr int kSpinsAlone = 5000;
constexpr int kSpinsShared = 50;

/// Moves `stream` as far as it goes when `recorded` events have come; tells whether it moved.
bool dry_run(const HostStream& stream, std::size_t& next, std::set<const HostEvent*>& recorded) {
  const std::size_t first = next;
  for (; next < stream.commands.size(); ++next) {
    const HostCommand& command = stream.commands[next];
    if (command.kind == HostCommand::Kind::record) recorded.insert(command.event);
    if (command.kind == HostCommand::Kind::wait && !recorded.contains(command.event)) break;
  }
  return next != first;
}

/// The first task of `stream` from `next` on, for messages.
int task_behind(const HostStream& stream, std::size_t next) {
  for (; next < stream.commands.size(); ++next) {
    if (stream.commands[next].task != TaskId{-1})
      return static_cast<int>(stream.commands[next].task);
  }
  return -1;
}

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
  checked_recording_ = false;
  last_task_ = -1;
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
  return BackendStream{static_cast<std::int32_t>(streams_.size() - 1)};
}

EventId HostBackend::add_event() {
  events_.emplace_back();
  return EventId{static_cast<std::int32_t>(events_.size() - 1)};
}

void HostBackend::add(BackendStream stream, HostCommand command) {
  if (index(stream) >= streams_.size()) reject("host backend: no such stream");
  last_task_ = std::max(last_task_, static_cast<std::int64_t>(command.task));
  checked_recording_ = false;
  const StreamPlace place = streams_[index(stream)];
  workers_[place.device]->streams()[place.stream].commands.push_back(std::move(command));
}

void HostBackend::launch(BackendStream stream, TaskId task, const Op& op,
                         std::vector<const std::byte*> reads, std::vector<std::byte*> writes) {
  add(stream, {.kind = HostCommand::Kind::call,
               .task = task,
               .call = make_host_call(op, std::move(reads), std::move(writes))});
}

void HostBackend::copy(BackendStream stream, TaskId task, const std::byte* from, std::byte* to,
                       Bytes size) {
  if (size.count < 0) reject("host backend: expected a copy of 0 bytes or more");
  add(stream, {.kind = HostCommand::Kind::copy,
               .task = task,
               .from = from,
               .to = to,
               .size = static_cast<std::size_t>(size.count)});
}

void HostBackend::record(BackendStream stream, EventId event) {
  if (index(event) >= events_.size()) reject("host backend: no such event");
  add(stream, {.kind = HostCommand::Kind::record, .event = &events_[index(event)]});
}

void HostBackend::wait(BackendStream stream, EventId event) {
  if (index(event) >= events_.size()) reject("host backend: no such event");
  add(stream, {.kind = HostCommand::Kind::wait, .event = &events_[index(event)]});
}

void HostBackend::check_recording() const {
  std::set<const HostEvent*> recorded;
  std::vector<std::size_t> next(streams_.size(), 0);
  const auto stream_at = [&](std::size_t i) -> const HostStream& {
    return workers_[streams_[i].device]->streams()[streams_[i].stream];
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      moved = dry_run(stream_at(i), next[i], recorded) || moved;
    }
  }
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (next[i] == stream_at(i).commands.size()) continue;
    reject(fmt::format("host backend: device {}, task {}: waits for an event that cannot come",
                       streams_[i].device, task_behind(stream_at(i), next[i])));
  }
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
  if (last_task_ >= static_cast<std::int64_t>(tasks)) {
    reject(fmt::format("host backend: task {} was recorded, the timeline has {} tasks", last_task_,
                       tasks));
  }
  if (!checked_recording_) check_recording();
  checked_recording_ = true;
  for (const auto& worker : workers_) worker->set_context(context);
  gate_->run();
  check_failures();
  return measured(tasks);
}

}  // namespace foreplan
