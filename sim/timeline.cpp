#include "sim/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// What a device does, the most important first.
enum class Activity : std::uint8_t { compute, optimizer, communication };
constexpr std::size_t kActivities = 3;

/// An instant at which a device has one more or one less of an activity.
struct Change {
  Duration at{};
  Activity activity{};
  int by = 0;
};

Activity activity_of(const TaskGraph& graph, std::size_t task) {
  if (graph.kind[task] == TaskKind::transfer || graph.collective[task] >= 0) {
    return Activity::communication;
  }
  const Pass pass = graph.ops[index(graph.op[task])].key.pass;
  return pass == Pass::optimizer ? Activity::optimizer : Activity::compute;
}

std::vector<std::vector<Change>> changes_of_devices(const TaskGraph& graph,
                                                    const Timeline& timeline) {
  std::vector<std::vector<Change>> changes(static_cast<std::size_t>(graph.devices));
  const auto note = [&](DeviceId device, std::size_t task) {
    const Activity activity = activity_of(graph, task);
    changes[index(device)].push_back({timeline.start[task], activity, 1});
    changes[index(device)].push_back({timeline.finish[task], activity, -1});
  };
  for (std::size_t t = 0; t < graph.size(); ++t) {
    note(graph.device[t], t);
    if (graph.source[t] != graph.device[t]) note(graph.source[t], t);
  }
  return changes;
}

DeviceTime swept(std::vector<Change>& changes, Duration end) {
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.at < b.at; });
  changes.push_back({end, Activity::compute, 0});
  DeviceTime time;
  const std::array<Duration*, kActivities + 1> parts = {&time.compute, &time.optimizer,
                                                        &time.exposed_communication, &time.idle};
  std::array<int, kActivities> running{};
  Duration now{};
  for (const Change& change : changes) {
    const auto busy = std::find_if(running.begin(), running.end(), [](int n) { return n > 0; });
    *parts[static_cast<std::size_t>(busy - running.begin())] += change.at - now;
    running[static_cast<std::size_t>(change.activity)] += change.by;
    now = change.at;
  }
  return time;
}

}  // namespace

Duration makespan(const Timeline& timeline) {
  const auto last = std::max_element(timeline.finish.begin(), timeline.finish.end());
  return last == timeline.finish.end() ? Duration::zero() : *last;
}

std::vector<DeviceTime> device_times(const TaskGraph& graph, const Timeline& timeline) {
  if (timeline.start.size() != graph.size() || timeline.finish.size() != graph.size()) {
    reject(fmt::format("the graph has {} tasks, but the timeline has {}", graph.size(),
                       timeline.finish.size()));
  }
  std::vector<DeviceTime> times;
  const Duration end = makespan(timeline);
  for (std::vector<Change>& changes : changes_of_devices(graph, timeline)) {
    times.push_back(swept(changes, end));
  }
  return times;
}

DeviceTime mean_device_time(const std::vector<DeviceTime>& times) {
  if (times.empty()) return {};
  const auto n = static_cast<std::int64_t>(times.size());
  const auto mean = [&](Duration DeviceTime::*part) {
    Duration quotient{}, remainder{};  // apart, as the sum of many devices may be out of range
    for (const DeviceTime& time : times) {
      quotient += time.*part / n;
      remainder += time.*part % n;
    }
    return quotient + (remainder + Duration(n / 2)) / n;
  };
  return {mean(&DeviceTime::compute), mean(&DeviceTime::optimizer),
          mean(&DeviceTime::exposed_communication), mean(&DeviceTime::idle)};
}

}  // namespace foreplan
