#include "runtime/recording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/error.hpp"

namespace foreplan {

void Recording::clear() {
  streams_.clear();
  events_ = 0;
  commands_.clear();
  last_task_ = -1;
}

BackendStream Recording::add_stream(DeviceId device) {
  streams_.push_back(device);
  return BackendStream{static_cast<std::int32_t>(streams_.size() - 1)};
}

EventId Recording::add_event() { return EventId{events_++}; }

std::size_t Recording::add(const Command& command) {
  if (index(command.stream) >= streams_.size()) reject(who_ + ": no such stream");
  const bool has_event =
      command.kind == Command::Kind::record || command.kind == Command::Kind::wait;
  if (has_event && index(command.event) >= events()) reject(who_ + ": no such event");
  last_task_ = std::max(last_task_, static_cast<std::int64_t>(command.task));
  commands_.push_back(command);
  return commands_.size() - 1;
}

void Recording::check_tasks(std::size_t tasks) const {
  if (last_task_ < static_cast<std::int64_t>(tasks)) return;
  reject(fmt::format("{}: task {} was recorded, the timeline has {} tasks", who_, last_task_, tasks));
}

std::vector<std::size_t> Recording::issue_order() const {
  std::vector<std::size_t> order, left(commands_.size());
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = i;
  std::vector<bool> recorded(events(), false);
  while (!left.empty()) {
    std::vector<bool> stopped(streams_.size(), false);
    std::vector<std::size_t> later;
    for (const std::size_t i : left) {
      const Command& command = commands_[i];
      const bool waits = command.kind == Command::Kind::wait && !recorded[index(command.event)];
      if (waits) stopped[index(command.stream)] = true;
      if (stopped[index(command.stream)]) {
        later.push_back(i);
        continue;
      }
      if (command.kind == Command::Kind::record) recorded[index(command.event)] = true;
      order.push_back(i);
    }
    if (later.size() == left.size()) break;
    left = std::move(later);
  }
  if (left.empty()) return order;
  const BackendStream stream = commands_[left.front()].stream;
  const auto behind = std::find_if(left.begin(), left.end(), [&](std::size_t i) {
    return commands_[i].stream == stream && commands_[i].task != TaskId{-1};
  });
  reject(fmt::format("{}: device {}, task {}: waits for an event that cannot come", who_,
                     static_cast<int>(device(stream)),
                     behind == left.end() ? -1 : static_cast<int>(commands_[*behind].task)));
}

}  // namespace foreplan
