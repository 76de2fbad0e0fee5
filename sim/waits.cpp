#include "sim/waits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::size_t kMostTasks = (std::size_t{1} << 30) - 2;  ///< places have 30 bits

}  // namespace

Waits::Waits(const TaskGraph& graph)
    : graph_(graph),
      streams_(graph.stream_names.size()),
      place_(graph.size()),
      last_(static_cast<std::size_t>(graph.devices) * streams_),
      kept_(last_.size()) {
  if (graph.size() > kMostTasks) {
    reject(fmt::format("at most {} tasks can be simulated, the graph has {}", kMostTasks,
                       graph.size()));
  }
  for (std::size_t i = 0; i < graph.order.size(); ++i) {
    place_[index(graph.order[i])] = static_cast<std::uint32_t>(i + 1);
  }
}

std::uint32_t Waits::before_in_stream(TaskId task) {
  if (graph_.stream[index(task)] == kNoStream) return 0;
  return std::exchange(last_[slot(task)], place_[index(task)]);
}

const std::vector<Waits::Edge>& Waits::elsewhere(TaskId task) {
  found_.clear();
  for (const TaskId p : graph_.after[index(task)]) {
    const bool away = graph_.device[index(p)] != graph_.device[index(task)];
    const Edge edge = place_[index(p)] * 4 + (away ? kElsewhere : 0);
    if (graph_.stream[index(p)] == kNoStream) {
      found_.push_back(edge);
    } else if (away || graph_.stream[index(p)] != graph_.stream[index(task)]) {
      keep_last(place_[index(task)], slot(p), edge);
    }
  }
  return found_;
}

void Waits::keep_last(std::uint32_t by, std::size_t stream, Edge edge) {
  Kept& kept = kept_[stream];
  if (kept.by == by) {
    found_[kept.at] = std::max(found_[kept.at], edge);
    return;
  }
  kept = {by, static_cast<std::uint32_t>(found_.size())};
  found_.push_back(edge);
}

}  // namespace foreplan
