#include "runtime/arena.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace foreplan {
namespace {

constexpr std::int64_t kAlignment = 64;

struct Placed {
  std::int64_t begin = 0, end = 0;
  std::optional<TaskId> freed_by;  ///< empty: never
};

std::int64_t rounded(Bytes size) { return (size.count + kAlignment - 1) / kAlignment * kAlignment; }

/// The lowest place for `size` bytes beside `taken`.
std::int64_t first_fit(std::vector<std::pair<std::int64_t, std::int64_t>> taken,
                       std::int64_t size) {
  std::sort(taken.begin(), taken.end());
  std::int64_t place = 0;
  for (const auto& [begin, end] : taken) {
    if (begin - place >= size) break;
    place = std::max(place, end);
  }
  return place;
}

class Planner {
 public:
  Planner(const TaskGraph& graph, const Chains& chains)
      : graph_(graph), chains_(chains), placed_(static_cast<std::size_t>(graph.devices)) {
    plan_.offset.resize(graph.buffers.size());
    plan_.size.resize(placed_.size());
    freed_by_.resize(graph.buffers.size());
  }

  ArenaPlan plan() && {
    for (const TaskId task : graph_.order) {
      for (const BufferId buffer : graph_.frees[index(task)]) freed_by_[index(buffer)] = task;
    }
    for (std::size_t i = 0; i < graph_.buffers.size(); ++i) {
      if (graph_.buffers[i].persistent) place(BufferId{static_cast<std::int32_t>(i)}, {});
    }
    for (const TaskId task : graph_.order) {
      for (const BufferId buffer : graph_.allocates[index(task)]) place(buffer, task);
    }
    return std::move(plan_);
  }

 private:
  void place(BufferId buffer, std::optional<TaskId> allocated_by) {
    const std::size_t device = index(graph_.buffers[index(buffer)].device);
    const std::int64_t size = rounded(graph_.buffers[index(buffer)].bytes);
    std::vector<std::pair<std::int64_t, std::int64_t>> taken;
    for (const Placed& other : placed_[device]) {
      const bool gone =
          allocated_by && other.freed_by && chains_.before(*other.freed_by, *allocated_by);
      if (!gone) taken.emplace_back(other.begin, other.end);
    }
    const std::int64_t begin = first_fit(std::move(taken), size);
    placed_[device].push_back({begin, begin + size, freed_by_[index(buffer)]});
    plan_.offset[index(buffer)] = {begin};
    plan_.size[device] = std::max(plan_.size[device], Bytes{begin + size});
  }

  const TaskGraph& graph_;
  const Chains& chains_;
  ArenaPlan plan_;
  std::vector<std::vector<Placed>> placed_;  ///< by device
  std::vector<std::optional<TaskId>> freed_by_;
};

}  // namespace

ArenaPlan plan_arenas(const TaskGraph& graph, const Chains& chains) {
  return Planner(graph, chains).plan();
}

std::string described(const TaskGraph& graph, BufferId buffer) {
  const Buffer& b = graph.buffers[index(buffer)];
  if (!b.name.empty()) return fmt::format("buffer \"{}\"", b.name);
  return fmt::format("buffer {} ({} of device {})", static_cast<int>(buffer), name(b.category),
                     static_cast<int>(b.device));
}

}  // namespace foreplan
