#include "sim/shape_table.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace foreplan {
namespace {

constexpr std::size_t kNearest = 3;
constexpr double kReach = 2;

/// Empty where the shapes are of different kinds or too far apart.
std::optional<double> distance(const std::vector<std::int64_t>& a,
                               const std::vector<std::int64_t>& b) {
  if (a.size() != b.size()) return std::nullopt;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double ratio = std::log(static_cast<double>(a[i]) / static_cast<double>(b[i]));
    if (!(std::abs(ratio) <= std::log(kReach) + 1e-9)) return std::nullopt;
    sum += ratio * ratio;
  }
  return std::sqrt(sum);
}

}  // namespace

void ShapeTable::add(const OpKey& key, Flops flops, Duration time) {
  if (!(flops.count > 0) || time <= Duration::zero()) return;
  entries_[{key.op, key.pass, key.dtype}].push_back({key.shape, seconds(time) / flops.count});
}

std::optional<Duration> ShapeTable::time(const OpKey& key, Flops flops) const {
  const auto found = entries_.find({key.op, key.pass, key.dtype});
  if (found == entries_.end()) return std::nullopt;
  std::vector<std::pair<double, double>> near;  // distance, seconds a FLOP
  for (const Entry& entry : found->second) {
    const auto d = distance(key.shape, entry.shape);
    if (d) near.emplace_back(*d, entry.seconds_per_flop);
  }
  if (near.empty()) return std::nullopt;
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (near.size() > kNearest) near.resize(kNearest);
  if (near.front().first == 0) return duration_from_seconds(near.front().second * flops.count);
  double weights = 0, sum = 0;
  for (const auto& [d, seconds_per_flop] : near) {
    weights += 1 / d;
    sum += seconds_per_flop / d;
  }
  return duration_from_seconds(sum / weights * flops.count);
}

}  // namespace foreplan
