#include "sim/timeline_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/error.hpp"
#include "sim/memory_timeline.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Microseconds with six decimals: no double in between.
std::string microseconds(Duration instant) {
  const std::int64_t ps = instant.count();
  return fmt::format("{}{}.{:06}", ps < 0 ? "-" : "", std::abs(ps / 1'000'000),
                     std::abs(ps % 1'000'000));
}

std::string category(const TaskGraph& graph, std::size_t task) {
  if (graph.kind[task] == TaskKind::transfer) return "transfer";
  if (graph.kind[task] == TaskKind::host) return "host";
  return std::string(name(graph.ops[index(graph.op[task])].key.pass));
}

/// Writes the events of one timeline; its devices are the processes base, base + step, ...
class Track {
 public:
  struct Place {
    int base = 0, step = 1;
    std::string suffix{};  ///< of the processes' names
  };

  Track(const TaskGraph& graph, const Timeline& timeline, Place place, std::string& out)
      : graph_(graph), timeline_(timeline), place_(std::move(place)), out_(out) {
    if (timeline.start.size() != graph.size() || timeline.finish.size() != graph.size()) {
      reject(fmt::format("trace: expected a timeline of {} tasks, got {}", graph.size(),
                         timeline.start.size()));
    }
    assign_threads();
  }

  void write() {
    for (int device = 0; device < graph_.devices; ++device) write_process(DeviceId{device});
    for (std::size_t task = 0; task < graph_.size(); ++task) {
      write_task(task);
      if (graph_.kind[task] == TaskKind::transfer) write_arrow(task);
    }
    write_memory();
  }

 private:
  int process(DeviceId device) const {
    return place_.base + static_cast<int>(device) * place_.step;
  }

  void event(std::string_view phase, DeviceId device, int thread, const std::string& rest) {
    fmt::format_to(std::back_inserter(out_), "{}{{\"ph\":\"{}\",\"pid\":{},\"tid\":{},{}}}",
                   out_.empty() ? "" : ",\n", phase, process(device), thread, rest);
  }

  /// Threads of tasks without a stream lie behind those of the streams: first come, first served.
  void assign_threads() {
    const int streams = static_cast<int>(graph_.stream_names.size());
    threads_.resize(graph_.size());
    std::vector<std::size_t> order(graph_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return timeline_.start[a] < timeline_.start[b];
    });
    std::map<DeviceId, std::vector<Duration>> lanes;
    for (const std::size_t task : order) {
      const StreamId stream = graph_.stream[task];
      threads_[task] = static_cast<int>(stream);
      if (stream == kNoStream)
        threads_[task] = streams + take_lane(lanes[graph_.device[task]], task);
      used_[graph_.device[task]][threads_[task]] = thread_name(threads_[task], streams);
    }
  }

  int take_lane(std::vector<Duration>& busy_until, std::size_t task) const {
    auto lane = std::find_if(busy_until.begin(), busy_until.end(),
                             [&](Duration until) { return until <= timeline_.start[task]; });
    if (lane == busy_until.end()) lane = busy_until.insert(lane, Duration{});
    *lane = timeline_.finish[task];
    return static_cast<int>(lane - busy_until.begin());
  }

  std::string thread_name(int thread, int streams) const {
    if (thread < streams) return graph_.stream_names[static_cast<std::size_t>(thread)];
    return fmt::format("no stream {}", thread - streams);
  }

  void write_process(DeviceId device) {
    const auto metadata = [&](int thread, std::string_view what, const std::string& value) {
      event("M", device, thread, fmt::format("\"name\":\"{}\",\"args\":{{{}}}", what, value));
    };
    const std::string label = fmt::format("device {}{}", index(device), place_.suffix);
    metadata(0, "process_name", "\"name\":" + quoted(label));
    metadata(0, "process_sort_index", fmt::format("\"sort_index\":{}", process(device)));
    for (const auto& [thread, label_of_thread] : used_[device]) {
      metadata(thread, "thread_name", "\"name\":" + quoted(label_of_thread));
      metadata(thread, "thread_sort_index", fmt::format("\"sort_index\":{}", thread));
    }
  }

  void write_task(std::size_t task) {
    const bool moves = graph_.kind[task] == TaskKind::transfer;
    const std::string work =
        moves ? fmt::format("\"source\":{},\"bytes\":{}", index(graph_.source[task]),
                            graph_.bytes[task].count)
              : "\"op\":" + quoted(format(graph_.ops[index(graph_.op[task])].key));
    event("X", graph_.device[task], threads_[task],
          fmt::format(
              "\"ts\":{},\"dur\":{},\"cat\":\"{}\",\"name\":{},\"args\":{{\"task\":{},{}}}",
              microseconds(timeline_.start[task]),
              microseconds(timeline_.finish[task] - timeline_.start[task]), category(graph_, task),
              quoted(task_name(graph_, TaskId{static_cast<std::int32_t>(task)})), task, work));
  }

  /// The last predecessor on the transfer's source: what it sends.
  std::optional<std::size_t> sender(std::size_t transfer) const {
    std::optional<std::size_t> last;
    for (const TaskId id : graph_.after[transfer]) {
      const std::size_t task = index(id);
      if (graph_.device[task] != graph_.source[transfer]) continue;
      if (!last || timeline_.finish[task] > timeline_.finish[*last]) last = task;
    }
    return last;
  }

  void write_arrow(std::size_t transfer) {
    const auto from = sender(transfer);
    if (!from) return;
    // An arrow belongs to the span around its instant, and at its finish a span is over.
    const Duration instant = std::max(timeline_.start[*from], timeline_.finish[*from] - 1ns);
    const auto arrow = [&](Duration at, std::string_view binding) {
      return fmt::format("\"ts\":{},\"cat\":\"flow\",\"name\":\"send\",\"id\":\"{}/{}\"{}",
                         microseconds(at), place_.base, transfer, binding);
    };
    event("s", graph_.device[*from], threads_[*from], arrow(instant, ""));
    event("f", graph_.device[transfer], threads_[transfer],
          arrow(timeline_.start[transfer], ",\"bp\":\"e\""));
  }

  void write_counter(std::size_t device, Duration at, std::string_view name,
                     const std::string& values) {
    event("C", DeviceId{static_cast<std::int32_t>(device)}, 0,
          fmt::format("\"ts\":{},\"name\":\"{}\",\"args\":{{{}}}", microseconds(at), name, values));
  }

  /// Three counters: all that is in use, the same by category (those that the device ever has), and what
  /// a caching allocator reserves for it.
  void write_memory() {
    const std::vector<DeviceMemory> memory = memory_timeline(graph_, timeline_);
    const std::vector<ReservedMemory> reserved = reserved_memory(graph_, timeline_);
    const auto bytes = [](Bytes count) { return fmt::format("\"bytes\":{}", count.count); };
    for (std::size_t device = 0; device < memory.size(); ++device) {
      const std::vector<BufferCategory> used = categories_of(memory[device]);
      for (const DeviceMemory::Point& point : memory[device].points) {
        write_counter(device, point.at, "memory", bytes(point.in_use));
        if (!used.empty()) {
          write_counter(device, point.at, "memory by category", by_category(point, used));
        }
      }
      for (const ReservedMemory::Point& point : reserved[device].points) {
        write_counter(device, point.at, "memory reserved", bytes(point.reserved));
      }
    }
  }

  static std::vector<BufferCategory> categories_of(const DeviceMemory& memory) {
    std::vector<BufferCategory> used;
    for (int c = 0; c < kBufferCategories; ++c) {
      const auto has = [&](const DeviceMemory::Point& point) {
        return point.by_category[static_cast<std::size_t>(c)] != Bytes{};
      };
      if (std::any_of(memory.points.begin(), memory.points.end(), has)) {
        used.push_back(static_cast<BufferCategory>(c));
      }
    }
    return used;
  }

  static std::string by_category(const DeviceMemory::Point& point,
                                 const std::vector<BufferCategory>& used) {
    std::string values;
    for (const BufferCategory c : used) {
      values += fmt::format("{}\"{}\":{}", values.empty() ? "" : ",", name(c),
                            point.by_category[static_cast<std::size_t>(c)].count);
    }
    return values;
  }

  const TaskGraph& graph_;
  const Timeline& timeline_;
  Place place_;
  std::string& out_;
  std::vector<int> threads_;  ///< by task
  std::map<DeviceId, std::map<int, std::string>> used_;
};

std::string document(const std::string& events) {
  return "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" + events + "\n]}\n";
}

}  // namespace

std::string to_trace(const TaskGraph& graph, const Timeline& timeline) {
  std::string events;
  Track(graph, timeline, {}, events).write();
  return document(events);
}

std::string to_trace(const TaskGraph& graph, const Timeline& forecast, const Timeline& measured) {
  std::string events;
  Track(graph, forecast, {0, 2, " forecast"}, events).write();
  Track(graph, measured, {1, 2, " measured"}, events).write();
  return document(events);
}

}  // namespace foreplan
