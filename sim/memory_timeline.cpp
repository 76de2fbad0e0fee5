#include "sim/memory_timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "sim/caching_allocator.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// What happens first at one instant.
enum class Turn : std::uint8_t { free, allocate, free_of_instant_task };

struct Change {
  Duration at{};
  Turn turn{};
  std::int32_t number = 0;  ///< in order of tasks
  BufferId buffer{};
};

void check(const TaskGraph& graph, const Timeline& timeline) {
  if (timeline.start.size() == graph.size() && timeline.finish.size() == graph.size()) return;
  reject(fmt::format("the graph has {} tasks, but the timeline has {}", graph.size(),
                     timeline.finish.size()));
}

bool is_instant(const Timeline& timeline, std::size_t task) {
  return timeline.start[task] == timeline.finish[task];
}

std::vector<std::vector<Change>> changes_of_devices(const TaskGraph& graph,
                                                    const Timeline& timeline) {
  std::vector<std::vector<Change>> changes(static_cast<std::size_t>(graph.devices));
  const auto note = [&](Duration at, Turn turn, BufferId buffer) {
    std::vector<Change>& here = changes[index(graph.buffers[index(buffer)].device)];
    here.push_back({at, turn, static_cast<std::int32_t>(here.size()), buffer});
  };
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const Duration start = timeline.start[t];
    const Duration finish = timeline.finish[t];
    const Turn turn = is_instant(timeline, t) ? Turn::free_of_instant_task : Turn::free;
    for (const BufferId b : graph.allocates[t]) note(start, Turn::allocate, b);
    for (const BufferId b : graph.frees[t]) note(finish, turn, b);
  }
  for (std::vector<Change>& of_device : changes) {
    std::sort(of_device.begin(), of_device.end(), [](const Change& a, const Change& b) {
      return std::tie(a.at, a.turn, a.number) < std::tie(b.at, b.turn, b.number);
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
    memory_.points.front() = {Duration::zero(), in_use_, by_category_};
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
      points.back() = {at, in_use_, by_category_};
    } else if (points.back().by_category != by_category_) {
      points.push_back({at, in_use_, by_category_});
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
  BytesByCategory by_category_{};
};

/// Runs an allocator over the buffers of one device.
class Reservation {
 public:
  /// @param blocks  by buffer of the graph
  Reservation(const TaskGraph& graph, std::vector<CachingAllocator::Block>& blocks)
      : graph_(graph), blocks_(blocks) {
    memory_.points.push_back({});
  }

  ReservedMemory run(const std::vector<std::size_t>& persistent,
                     const std::vector<Change>& changes) {
    for (const std::size_t buffer : persistent) allocate(buffer, Duration::zero());
    for (const Change& change : changes) {
      if (change.turn == Turn::allocate) {
        allocate(index(change.buffer), change.at);
      } else {
        allocator_.free(blocks_[index(change.buffer)]);
      }
    }
    memory_.peak_allocated = allocator_.stats().peak_allocated;
    memory_.peak_reserved = allocator_.stats().peak_reserved;
    memory_.peak_at = memory_.points.back().at;
    return std::move(memory_);
  }

 private:
  void allocate(std::size_t buffer, Duration at) {
    const auto block = allocator_.allocate(graph_.buffers[buffer].bytes);
    if (!block) reject("the buffers of a device exceed 1 EiB");
    blocks_[buffer] = *block;
    const Bytes reserved = allocator_.stats().reserved;
    std::vector<ReservedMemory::Point>& points = memory_.points;
    if (points.back().at == at) {
      points.back().reserved = reserved;
    } else if (points.back().reserved != reserved) {
      points.push_back({at, reserved});
    }
  }

  const TaskGraph& graph_;
  CachingAllocator allocator_;
  std::vector<CachingAllocator::Block>& blocks_;
  ReservedMemory memory_;
};

/// When a buffer comes and goes.
struct Life {
  std::optional<TaskId> allocated_by{}, freed_by{};
};

std::vector<Life> lives_of(const TaskGraph& graph) {
  std::vector<Life> lives(graph.buffers.size());
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const TaskId task{static_cast<std::int32_t>(t)};
    for (const BufferId b : graph.allocates[t]) lives[index(b)].allocated_by = task;
    for (const BufferId b : graph.frees[t]) lives[index(b)].freed_by = task;
  }
  return lives;
}

/// Whether it is in use when the allocations of `at` are done.
bool holds(const Life& life, const Timeline& timeline, Duration at) {
  if (life.allocated_by && timeline.start[index(*life.allocated_by)] > at) return false;
  if (!life.freed_by) return true;
  const std::size_t last = index(*life.freed_by);
  return timeline.finish[last] > at || (timeline.finish[last] == at && is_instant(timeline, last));
}

}  // namespace

std::vector<DeviceMemory> memory_timeline(const TaskGraph& graph, const Timeline& timeline) {
  check(graph, timeline);
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

std::vector<Holder> peak_holders(const TaskGraph& graph, const Timeline& timeline, DeviceId device,
                                 Duration peak_at) {
  check(graph, timeline);
  if (device < DeviceId{0} || static_cast<int>(device) >= graph.devices) {
    reject(fmt::format("expected a device from 0 to {}, got {}", graph.devices - 1,
                       static_cast<int>(device)));
  }
  if (peak_at < Duration::zero()) reject("expected an instant of the step, got a negative one");
  const std::vector<Life> lives = lives_of(graph);
  std::vector<Holder> holders;
  for (std::size_t b = 0; b < graph.buffers.size(); ++b) {
    const Buffer& buffer = graph.buffers[b];
    if (buffer.device != device || !holds(lives[b], timeline, peak_at)) continue;
    holders.push_back({.buffer = BufferId{static_cast<std::int32_t>(b)},
                       .allocated_by = lives[b].allocated_by,
                       .freed_by = lives[b].freed_by});
  }
  std::stable_sort(holders.begin(), holders.end(), [&](const Holder& a, const Holder& b) {
    return graph.buffers[index(a.buffer)].bytes > graph.buffers[index(b.buffer)].bytes;
  });
  return holders;
}

std::vector<ReservedMemory> reserved_memory(const TaskGraph& graph, const Timeline& timeline) {
  check(graph, timeline);
  const std::vector<std::vector<Change>> changes = changes_of_devices(graph, timeline);
  std::vector<std::vector<std::size_t>> persistent(changes.size());
  for (std::size_t b = 0; b < graph.buffers.size(); ++b) {
    const Buffer& buffer = graph.buffers[b];
    if (buffer.persistent) persistent[index(buffer.device)].push_back(b);
  }
  std::vector<CachingAllocator::Block> blocks(graph.buffers.size(), CachingAllocator::kNothing);
  std::vector<ReservedMemory> memories;
  for (std::size_t d = 0; d < changes.size(); ++d) {
    memories.push_back(Reservation(graph, blocks).run(persistent[d], changes[d]));
  }
  return memories;
}

}  // namespace foreplan
