#include "sim/perturbation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sim/costs_check.hpp"
#include "sim/engine.hpp"
#include "sim/error.hpp"
#include "sim/replayer.hpp"

namespace foreplan {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
constexpr double kLongest = 4e18;  ///< picoseconds; leaves room to add it to an instant

std::uint64_t split_mix(std::uint64_t state) {
  state += kGolden;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ULL;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBULL;
  return state ^ (state >> 31);
}

/// In (0, 1): the middle of one of 2^52 equal parts.
double uniform(std::uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52; }

double standard_normal(std::uint64_t place) {
  const double radius = std::sqrt(-2 * std::log(uniform(split_mix(place))));
  return radius * std::cos(2 * std::numbers::pi * uniform(split_mix(~place)));
}

Duration times(Duration duration, double factor) {
  const double picoseconds = static_cast<double>(duration.count()) * factor;
  if (!(picoseconds < kLongest)) {
    reject(fmt::format("{} times {:.3g} is out of range", format(duration), factor));
  }
  return Duration(std::llrint(picoseconds));
}

void check(const Jitter& jitter) {
  if (std::isfinite(jitter.deviation) && jitter.deviation >= 0) return;
  reject(fmt::format("expected a jitter of at least 0, got {}", jitter.deviation));
}

}  // namespace

void slow_down(Costs& costs, const TaskGraph& graph, const SlowDevice& slow) {
  if (static_cast<std::int32_t>(slow.device) < 0 ||
      static_cast<std::int32_t>(slow.device) >= graph.devices) {
    reject(fmt::format("expected a slow device from 0 to {}, got {}", graph.devices - 1,
                       static_cast<std::int32_t>(slow.device)));
  }
  if (!std::isfinite(slow.factor) || slow.factor <= 0) {
    reject(fmt::format("expected a factor above 0 for slow device {}, got {}", index(slow.device),
                       slow.factor));
  }
  for (std::size_t t = 0; t < graph.size(); ++t) {
    if (graph.device[t] != slow.device || graph.kind[t] == TaskKind::transfer) continue;
    costs.duration[t] = times(costs.duration[t], slow.factor);
  }
}

double jitter_factor(const Jitter& jitter, std::uint64_t run, TaskId task) {
  const double variance = std::log1p(jitter.deviation * jitter.deviation);
  const std::uint64_t place = split_mix(split_mix(jitter.seed) ^ run) + index(task) * kGolden;
  return std::exp(std::sqrt(variance) * standard_normal(place) - variance / 2);
}

Costs jittered(const Costs& costs, const Jitter& jitter, std::uint64_t run) {
  check(jitter);
  Costs result = costs;
  for (std::size_t t = 0; t < result.duration.size(); ++t) {
    if (result.duration[t] == Duration::zero()) continue;
    result.duration[t] = times(result.duration[t], jitter_factor(jitter, run, TaskId(t)));
  }
  return result;
}

MakespanSample::MakespanSample(std::vector<Duration> makespans) : sorted_(std::move(makespans)) {
  if (sorted_.empty()) reject("expected at least 1 run");
  std::sort(sorted_.begin(), sorted_.end());
}

Duration MakespanSample::mean() const {
  // Above the least, as the sum of many makespans may be out of range.
  double above = 0;
  for (const Duration makespan : sorted_) {
    above += static_cast<double>((makespan - sorted_.front()).count());
  }
  return sorted_.front() + Duration(std::llrint(above / static_cast<double>(runs())));
}

Duration MakespanSample::percentile(double percent) const {
  if (!(percent >= 0 && percent <= 100)) {
    reject(fmt::format("expected a percentile from 0 to 100, got {}", percent));
  }
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(runs()) - 1e-9));
  return sorted_[std::max<std::size_t>(rank, 1) - 1];
}

MakespanSample simulate_jitter(const TaskGraph& graph, const Costs& costs, const Cluster& cluster,
                               const Jitter& jitter, int runs) {
  if (runs < 1) reject(fmt::format("expected at least 1 run, got {}", runs));
  const bool sharing = check_costs(graph, costs);
  Engine engine(graph, cluster);
  Replayer replayer(graph);
  SimulationResult result;
  std::vector<Duration> makespans;
  for (int run = 0; run < runs; ++run) {
    const Costs drawn = jittered(costs, jitter, static_cast<std::uint64_t>(run));
    if (sharing) {
      engine.run(drawn, result);
      makespans.push_back(makespan(result.timeline));
    } else {
      makespans.push_back(replayer.makespan(drawn));
    }
  }
  return MakespanSample(std::move(makespans));
}

}  // namespace foreplan
