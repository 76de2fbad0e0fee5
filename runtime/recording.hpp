#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/backend.hpp"

namespace foreplan {

/// What a backend was told, in the order in which it was told: the part that is the same for all
/// backends. What each command does is the backend's to keep, under the command's number.
class Recording {
 public:
  struct Command {
    enum class Kind : std::uint8_t { launch, copy, record, wait };
    Kind kind{};
    BackendStream stream{};
    TaskId task{-1};    ///< launch, copy
    EventId event{-1};  ///< record, wait
  };

  /// @param who  begins every message: "host backend"
  explicit Recording(std::string who) : who_(std::move(who)) {}

  void clear();
  BackendStream add_stream(DeviceId device);
  EventId add_event();
  /// @return  the command's number, from 0
  /// @throws Error(invalid_argument) if there is no such stream or event
  std::size_t add(const Command& command);

  const std::vector<Command>& commands() const { return commands_; }
  DeviceId device(BackendStream stream) const { return streams_[index(stream)]; }
  std::size_t streams() const { return streams_.size(); }
  std::size_t events() const { return static_cast<std::size_t>(events_); }

  /// @throws Error(invalid_argument) if a task's id is not below `tasks`
  void check_tasks(std::size_t tasks) const;
  /// The commands' numbers in an order in which one thread can hand them out: that of the recording,
  /// except that a stream stops at a wait until its event has been recorded.
  /// @throws Error(invalid_argument) naming device and task if an event cannot come
  std::vector<std::size_t> issue_order() const;

 private:
  std::string who_;
  std::vector<DeviceId> streams_;
  std::int32_t events_ = 0;
  std::vector<Command> commands_;
  std::int64_t last_task_ = -1;
};

}  // namespace foreplan
