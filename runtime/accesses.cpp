#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "runtime/arena.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

struct Access {
  std::int64_t begin = 0, end = 0;
  TaskId task{};
  bool writes = false;
};

/// Goes through the accesses of a graph, buffer by buffer.
class Checker {
 public:
  Checker(const TaskGraph& graph, const Chains& chains)
      : graph_(graph),
        chains_(chains),
        accesses_(graph.buffers.size()),
        allocated_by_(graph.buffers.size()),
        freed_by_(graph.buffers.size()) {}

  void check() {
    for (const TaskId task : graph_.order) {
      for (const BufferId b : graph_.allocates[index(task)]) allocated_by_[index(b)] = task;
      for (const BufferId b : graph_.frees[index(task)]) freed_by_[index(b)] = task;
    }
    for (const TaskId task : graph_.order) collect(task);
    for (std::size_t i = 0; i < accesses_.size(); ++i) {
      check_races(BufferId{static_cast<std::int32_t>(i)});
    }
  }

 private:
  void collect(TaskId task) {
    const std::size_t i = index(task);
    for (const BufferRange& range : graph_.reads[i]) {
      add(task, range, {.device = graph_.source[i], .writes = false});
    }
    for (const BufferRange& range : graph_.writes[i]) {
      add(task, range, {.device = graph_.device[i], .writes = true});
    }
  }

  struct Expected {
    DeviceId device{};
    bool writes = false;
  };

  void add(TaskId task, const BufferRange& range, const Expected& expected) {
    const Buffer& buffer = graph_.buffers[index(range.buffer)];
    if (buffer.device != expected.device) {
      fail(task, range.buffer,
           fmt::format("the buffer is not on device {}", static_cast<int>(expected.device)));
    }
    const std::int64_t end = range.offset.count + range.bytes.count;
    if (range.offset.count < 0 || range.bytes.count < 0 || end > buffer.bytes.count) {
      fail(task, range.buffer,
           fmt::format("bytes {} to {} are outside its {} bytes", range.offset.count, end,
                       buffer.bytes.count));
    }
    if (!buffer.persistent) check_lifetime(task, range.buffer);
    accesses_[index(range.buffer)].push_back({range.offset.count, end, task, expected.writes});
  }

  void check_lifetime(TaskId task, BufferId buffer) const {
    const std::optional<TaskId> allocated = allocated_by_[index(buffer)];
    if (!allocated) fail(task, buffer, "nobody allocates it");
    if (*allocated != task && !chains_.before(*allocated, task)) {
      fail(task, buffer,
           fmt::format("it may run before the allocation by {}", described(graph_, *allocated)));
    }
    const std::optional<TaskId> freed = freed_by_[index(buffer)];
    if (freed && *freed != task && !chains_.before(task, *freed)) {
      fail(task, buffer, fmt::format("it may run after the free by {}", described(graph_, *freed)));
    }
  }

  // A sweep over the bytes: `live` holds the accesses that reach beyond the current begin.
  void check_races(BufferId buffer) {
    std::vector<Access>& all = accesses_[index(buffer)];
    std::stable_sort(all.begin(), all.end(),
                     [](const Access& a, const Access& b) { return a.begin < b.begin; });
    std::vector<Access> live;
    for (const Access& access : all) {
      if (access.begin == access.end) continue;
      std::erase_if(live, [&](const Access& other) { return other.end <= access.begin; });
      for (const Access& other : live) check_pair(buffer, other, access);
      live.push_back(access);
    }
  }

  void check_pair(BufferId buffer, const Access& a, const Access& b) const {
    if ((!a.writes && !b.writes) || a.task == b.task || chains_.ordered(a.task, b.task)) return;
    fail(
        std::min(a.task, b.task), buffer,
        fmt::format("races with {} for bytes {} to {}", described(graph_, std::max(a.task, b.task)),
                    std::max(a.begin, b.begin), std::min(a.end, b.end)));
  }

  [[noreturn]] void fail(TaskId task, BufferId buffer, const std::string& what) const {
    reject(fmt::format("{}, {}: {}", described(graph_, task), described(graph_, buffer), what));
  }

  const TaskGraph& graph_;
  const Chains& chains_;
  std::vector<std::vector<Access>> accesses_;  ///< by buffer
  std::vector<std::optional<TaskId>> allocated_by_, freed_by_;
};

}  // namespace

void check_accesses(const TaskGraph& graph, const Chains& chains) {
  Checker(graph, chains).check();
}

}  // namespace foreplan
