#include "tools/peak_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "sim/memory_timeline.hpp"

namespace foreplan {
namespace {

/// Buffers that are told together.
struct Group {
  BufferCategory category{};
  std::string where{};  ///< layer or stage; empty: persistent, or nobody tells
  Bytes bytes{};
  int buffers = 0;
  std::int32_t first = -1, last = -1;  ///< micro-batches
};

std::vector<Group> groups_of(const TaskGraph& graph, const std::vector<Holder>& holders) {
  std::map<std::pair<BufferCategory, std::int32_t>, Group> groups;
  for (const Holder& holder : holders) {
    const Buffer& buffer = graph.buffers[index(holder.buffer)];
    const std::int32_t node = holder.allocated_by ? graph.node[index(*holder.allocated_by)] : -1;
    Group& group = groups[{buffer.category, node}];
    group.category = buffer.category;
    if (node >= 0) group.where = graph.node_names[static_cast<std::size_t>(node)];
    group.bytes += buffer.bytes;
    ++group.buffers;
    if (!holder.allocated_by) continue;
    const std::int32_t micro_batch = graph.micro_batch[index(*holder.allocated_by)];
    if (micro_batch < 0) continue;
    group.first = group.first < 0 ? micro_batch : std::min(group.first, micro_batch);
    group.last = std::max(group.last, micro_batch);
  }
  std::vector<Group> sorted;
  for (auto& [key, group] : groups) sorted.push_back(std::move(group));
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Group& a, const Group& b) { return a.bytes > b.bytes; });
  return sorted;
}

std::string text_of(const Group& group) {
  std::string text = fmt::format("{} {}", format(group.bytes), name(group.category));
  if (!group.where.empty()) text += " of " + group.where;
  if (group.first < 0) return text;
  if (group.first == group.last) return text + fmt::format(" (micro-batch {})", group.first);
  return text + fmt::format(" (micro-batches {} to {})", group.first, group.last);
}

/// The task whose allocation reaches the peak: of those that start then the last.
std::string reached_by(const Forecast& forecast, const std::vector<Holder>& holders, Duration at) {
  std::optional<TaskId> task;
  for (const Holder& holder : holders) {
    if (!holder.allocated_by || forecast.timeline.start[index(*holder.allocated_by)] != at)
      continue;
    task = task ? std::max(*task, *holder.allocated_by) : *holder.allocated_by;
  }
  return task ? fmt::format(", as '{}' starts", task_name(forecast.graph, *task)) : "";
}

}  // namespace

std::string describe_peak(const Forecast& forecast) {
  const std::vector<DeviceMemory> memory = memory_timeline(forecast.graph, forecast.timeline);
  const auto fullest = std::max_element(
      memory.begin(), memory.end(),
      [](const DeviceMemory& a, const DeviceMemory& b) { return a.peak < b.peak; });
  const auto device = static_cast<std::size_t>(fullest - memory.begin());
  const std::size_t stage = device * forecast.estimate.stages.size() / memory.size();
  const std::vector<Holder> holders =
      peak_holders(forecast.graph, forecast.timeline, DeviceId{static_cast<std::int32_t>(device)},
                   fullest->peak_at);
  const std::optional<Bytes> reserved = forecast.estimate.stages[stage].reserved;
  std::string text =
      fmt::format("peak {} on stage {} at {}{}{}\nheld by", format(fullest->peak), stage,
                  format(fullest->peak_at), reached_by(forecast, holders, fullest->peak_at),
                  reserved ? fmt::format("; reserved {}", format(*reserved)) : "");
  Bytes rest;
  const std::vector<Group> groups = groups_of(forecast.graph, holders);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i >= kGroupsTold) {
      rest += groups[i].bytes;
    } else {
      text += fmt::format("{} {}", i > 0 ? "," : "", text_of(groups[i]));
    }
  }
  if (rest != Bytes{}) text += fmt::format(", {} more", format(rest));
  return text + "\n";
}

}  // namespace foreplan
