#include "planner/replicas.hpp"

#include <algorithm>
#include <set>

#include "planner/step_check.hpp"

#include "planner/rank_layout.hpp"

namespace foreplan {
namespace {

bool alike(const Task& task) { return task.cluster.specs().size() == 1 && task.slow.empty(); }

std::vector<DeviceKind> kinds_by_device(const Task& task) {
  check_slow(task);
  const Cluster& cluster = task.cluster;
  std::vector<DeviceKind> kinds;
  kinds.reserve(static_cast<std::size_t>(cluster.devices()));
  for (int i = 0; i < cluster.devices(); ++i) {
    const auto vertex = static_cast<std::size_t>(cluster.vertex_of(DeviceId{i}));
    kinds.push_back({.spec = cluster.vertices()[vertex].spec});
  }
  for (const auto& [device, factor] : task.slow) kinds[index(device)].slowdown = factor;
  return kinds;
}

double rate(const Task& task, const DeviceKind& kind) {
  const auto& peaks = task.cluster.specs()[static_cast<std::size_t>(kind.spec)].peak;
  const auto peak = peaks.find(task.products.value_or(task.precision));
  return (peak == peaks.end() ? 0 : peak->second.flops_per_s) / kind.slowdown;
}

}  // namespace

std::vector<DeviceKind> device_kinds(const Task& task) {
  if (alike(task)) return {DeviceKind{}};
  const std::vector<DeviceKind> all = kinds_by_device(task);
  const std::set<DeviceKind> distinct(all.begin(), all.end());
  return {distinct.begin(), distinct.end()};
}

bool are_alike(const Task& task, int devices) {
  if (alike(task)) return true;
  const std::vector<DeviceKind> all = kinds_by_device(task);
  return std::all_of(all.begin(), all.begin() + devices,
                     [&](const DeviceKind& kind) { return kind == DeviceKind{all.front().spec}; });
}

std::vector<Replica> distinct_replicas(const Task& task, const Strategy& strategy) {
  if (alike(task)) return {Replica(static_cast<std::size_t>(strategy.pp))};
  const std::vector<DeviceKind> kinds = kinds_by_device(task);
  const RankLayout layout(strategy);
  const auto slowest = [&](int d, int s) {
    const DeviceKind* least = nullptr;
    for (int c = 0; c < strategy.cp; ++c) {
      for (int t = 0; t < strategy.tp; ++t) {
        const DeviceKind& kind = kinds[index(layout.device({.tp = t, .cp = c, .dp = d, .pp = s}))];
        if (least == nullptr || rate(task, kind) < rate(task, *least)) least = &kind;
      }
    }
    return *least;
  };
  std::set<Replica> distinct;
  for (int d = 0; d < strategy.dp; ++d) {
    Replica replica;
    for (int s = 0; s < strategy.pp; ++s) replica.push_back(slowest(d, s));
    distinct.insert(std::move(replica));
  }
  return {distinct.begin(), distinct.end()};
}

}  // namespace foreplan
