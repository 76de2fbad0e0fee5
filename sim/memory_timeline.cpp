#include "sim/memory_timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// What happens first at one instant.
enum class Turn : std::uint8_t { free, allocate, free_of_instant_task };

struct Change {
  Duration at{};
  Turn turn{};
  BufferId buffer{};
};

std::vector<std::vector<Change>> changes_of_devices(const TaskGraph& graph,
                                                    const Timeline& timeline) {
  std::vector<std::vector<Change>> changes(static_cast<std::size_t>(graph.devices));
  const auto note = [&](Duration at, Turn turn, BufferId buffer) {
    changes[index(graph.buffers[index(buffer)].device)].push_back({at, turn, buffer});
  };
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const Duration start = timeline.start[t];
    const Duration finish = timeline.finish[t];
    const Turn turn = start == finish ? Turn::free_of_instant_task : Turn::free;
    for (const BufferId b : graph.allocates[t]) note(start, Turn::allocate, b);
    for (const BufferId b : graph.frees[t]) note(finish, turn, b);
  }
  for (std::vector<Change>& of_device : changes) {
    std::sort(of_device.begin(), of_device.end(), [](const Change& a, const Change& b) {
      return std::tie(a.at, a.turn) < std::tie(b.at, b.turn);
    });
  }
  return changes;
}

/// Adds up the memory of one device.
class Account {
 public:
  explicit Account(const TaskGraph& graph) : graph_(graph) { memory_.points.push_back({}); }

  void add_persistent(const Buffer& buffer) {
    add(buffer, 1);
    memory_.peak = in_use_;
    memory_.at_peak = by_category_;
    memory_.points.front().in_use = in_use_;
  }

  void apply(const Change& change) {
    const Buffer& buffer = graph_.buffers[index(change.buffer)];
    add(buffer, change.turn == Turn::allocate ? 1 : -1);
    if (in_use_ > memory_.peak) {
      memory_.peak = in_use_;
      memory_.peak_at = change.at;
      memory_.at_peak = by_category_;
    }
  }

  /// Ends an instant: what is in use now stays until the next.
  void close(Duration at) {
    std::vector<DeviceMemory::Point>& points = memory_.points;
    if (points.back().at == at) {
      points.back().in_use = in_use_;
    } else if (points.back().in_use != in_use_) {
      points.push_back({at, in_use_});
    }
  }

  DeviceMemory result() && { return std::move(memory_); }

 private:
  void add(const Buffer& buffer, std::int64_t times) {
    in_use_ += buffer.bytes * times;
    by_category_[static_cast<std::size_t>(buffer.category)] += buffer.bytes * times;
  }

  const TaskGraph& graph_;
  DeviceMemory memory_;
  Bytes in_use_;
  std::array<Bytes, kBufferCategories> by_category_{};
};

}  // namespace

std::vector<DeviceMemory> memory_timeline(const TaskGraph& graph, const Timeline& timeline) {
  if (timeline.start.size() != graph.size() || timeline.finish.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the timeline has {}", graph.size(),
                       timeline.finish.size()));
  }
  std::vector<Account> accounts(static_cast<std::size_t>(graph.devices), Account(graph));
  for (const Buffer& buffer : graph.buffers) {
    if (buffer.persistent) accounts[index(buffer.device)].add_persistent(buffer);
  }
  const std::vector<std::vector<Change>> changes = changes_of_devices(graph, timeline);
  std::vector<DeviceMemory> memories;
  for (std::size_t d = 0; d < accounts.size(); ++d) {
    for (std::size_t i = 0; i < changes[d].size(); ++i) {
      const Duration at = changes[d][i].at;
      accounts[d].apply(changes[d][i]);
      if (i + 1 == changes[d].size() || changes[d][i + 1].at != at) accounts[d].close(at);
    }
    memories.push_back(std::move(accounts[d]).result());
  }
  return memories;
}

}  // namespace foreplan
