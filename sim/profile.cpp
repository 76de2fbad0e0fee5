#include "sim/profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "sim/error.hpp"
#include "sim/kernel_model.hpp"

namespace foreplan {
namespace {

using Points = std::vector<std::pair<Bytes, Duration>>;

/// Of a sorted, non-empty list; two middles are averaged, half picoseconds downwards.
Duration middle(const std::vector<Duration>& sorted) {
  const std::size_t half = sorted.size() / 2;
  if (sorted.size() % 2 == 1) return sorted[half];
  return sorted[half - 1] + (sorted[half] - sorted[half - 1]) / 2;
}

/// To the nearest picosecond. Distances from the first value are summed, which stay far from what
/// a Duration holds however many there are.
Duration mean_of(const std::vector<Duration>& sorted) {
  Duration sum{};
  for (const Duration value : sorted) sum += value - sorted.front();
  const auto count = static_cast<std::int64_t>(sorted.size());
  return sorted.front() + (sum + Duration{count / 2}) / count;
}

Duration line(const LineFit& fit, double variable) {
  return fit.overhead + duration_from_seconds(variable / fit.per_s);
}

double variable_of(const LineFit& fit, const Op& op) {
  return fit.variable == "flops" ? op.flops.count : static_cast<double>(op.traffic.count);
}

const LineFit* find_fit(const Profile& profile, std::string_view what) {
  const auto found = std::find_if(profile.fits.begin(), profile.fits.end(),
                                  [&](const LineFit& fit) { return fit.what == what; });
  return found == profile.fits.end() ? nullptr : &*found;
}

std::string fit_name(const OpKey& key, bool accumulate) {
  return fmt::format("{}.{} {}{}", key.op, name(key.pass), name(key.dtype),
                     accumulate ? " +=" : "");
}

std::optional<Duration> fitted(const Profile& profile, const Op& op) {
  for (const bool accumulate : {op.key.accumulate, !op.key.accumulate}) {
    const LineFit* fit = find_fit(profile, fit_name(op.key, accumulate));
    if (fit != nullptr) return line(*fit, variable_of(*fit, op));
  }
  return std::nullopt;
}

/// By what stands for any op.
std::optional<Duration> fitted_by_size(const Profile& profile, const Op& op) {
  std::optional<Duration> longest;
  for (const std::string_view variable : {"bytes", "flops"}) {
    const LineFit* fit = find_fit(profile, fmt::format("{} {}", variable, name(op.key.dtype)));
    if (fit == nullptr) continue;
    const Duration time = line(*fit, variable_of(*fit, op));
    longest = std::max(longest.value_or(time), time);
  }
  return longest;
}

/// Seconds that one more byte takes behind the largest measured size.
double slope_behind(const Points& points, const LineFit* fit) {
  if (fit != nullptr) return 1 / fit->per_s;
  const auto& [size, time] = points.back();
  if (points.size() > 1) {
    const auto& [size_before, time_before] = points[points.size() - 2];
    if (time > time_before) {
      return seconds(time - time_before) / static_cast<double>((size - size_before).count);
    }
  }
  return size.count > 0 ? seconds(time) / static_cast<double>(size.count) : 0;
}

/// @param points  at least one, sizes ascending
Duration interpolated(const Points& points, Bytes size, const LineFit* fit) {
  const auto above =
      std::lower_bound(points.begin(), points.end(), size,
                       [](const auto& point, Bytes wanted) { return point.first < wanted; });
  if (above == points.begin()) return above->second;
  const auto& [size_below, time_below] = *std::prev(above);
  const auto extra = static_cast<double>((size - size_below).count);
  if (above == points.end()) {
    return time_below + duration_from_seconds(extra * slope_behind(points, fit));
  }
  const double share = extra / static_cast<double>((above->first - size_below).count);
  const auto rise = static_cast<double>((above->second - time_below).count());
  return time_below + Duration{std::llround(share * rise)};
}

/// What is known of a key, or of the same that accumulates the other way.
template <typename Value>
std::optional<Value> either_way(const std::map<OpKey, Value>& known, OpKey key) {
  for (int i = 0; i < 2; ++i) {
    if (const auto found = known.find(key); found != known.end()) return found->second;
    key.accumulate = !key.accumulate;
  }
  return {};
}

}  // namespace

Sample summarise(std::vector<Duration> values, std::int64_t disturbed) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  Sample sample{.mean = mean_of(values),
                .median = middle(values),
                .samples = static_cast<std::int64_t>(values.size()),
                .disturbed = disturbed};
  for (Duration& value : values) value = std::chrono::abs(value - sample.median);
  std::sort(values.begin(), values.end());
  sample.mad = middle(values);
  return sample;
}

ProfileModel::ProfileModel(Profile profile) : profile_(std::move(profile)) {
  for (const ProfiledOp& op : profile_.ops) {
    if (!measured_.emplace(op.key, op.time.mean).second) {
      reject(fmt::format("profile: expected each op once, got {} twice", format(op.key)));
    }
    shapes_.add(op.key, op.flops, op.time.mean);
    if (op.multiprocessors) shares_.emplace(op.key, *op.multiprocessors);
    if (op.launches != 1) launches_.emplace(op.key, op.launches);
  }
  for (const ProfiledLayer& layer : profile_.layers) layers_.add(layer);
  for (const ProfiledCollective& c : profile_.collectives) {
    collectives_[{c.kind, c.ranks}].emplace_back(c.bytes, c.time.mean);
  }
  for (auto& [key, points] : collectives_) std::sort(points.begin(), points.end());
  knows_demand_ = !shares_.empty();
  for (const LineFit& fit : profile_.fits) {
    if (!(fit.per_s > 0) || (fit.variable != "flops" && fit.variable != "bytes")) {
      reject(
          fmt::format("profile: expected the fit \"{}\" to have a positive rate of flops or "
                      "bytes, got {} {}/s",
                      fit.what, fit.per_s, fit.variable));
    }
  }
  for (const ProfiledCopy& copy : profile_.copies) {
    copies_[{copy.source, copy.destination}].emplace_back(copy.bytes, copy.time.mean);
  }
  for (auto& [pair, points] : copies_) {
    std::sort(points.begin(), points.end());
    const auto same = std::adjacent_find(points.begin(), points.end(),
                                         [](auto& a, auto& b) { return a.first == b.first; });
    if (same == points.end()) continue;
    reject(fmt::format("profile: expected each copy once, got {} bytes from {} to {} twice",
                       same->first.count, index(pair.first), index(pair.second)));
  }
}

Duration ProfileModel::compute_time(const Op& op, const DeviceSpec& spec) const {
  if (op.launches == 0) return Duration::zero();
  if (const auto time = either_way(measured_, op.key)) return *time;
  if (const auto time = fitted(profile_, op)) return *time;
  if (op.matrix.count > 0) {
    if (const auto time = shapes_.time(op.key, op.flops)) return *time;
  }
  const bool by_size = op.matrix.count == 0 ||
                       find_fit(profile_, fmt::format("flops {}", name(op.key.dtype))) != nullptr ||
                       !spec.kernels;
  if (by_size) {
    if (const auto time = fitted_by_size(profile_, op)) return *time;
  }
  if (spec.kernels) return kernel_time(op, spec);
  reject(fmt::format("profile of {}: expected a measurement or a fit of {}, got neither",
                     profile_.device.name, format(op.key)));
}

std::optional<Duration> ProfileModel::copy_time(Bytes size, DeviceId source,
                                                DeviceId destination) const {
  const LineFit* fit = find_fit(profile_, "copy");
  if (const auto pair = copies_.find({source, destination}); pair != copies_.end()) {
    return interpolated(pair->second, size, fit);
  }
  if (copies_.empty()) return {};
  Duration sum{};
  for (const auto& [pair, points] : copies_) sum += interpolated(points, size, fit);
  return sum / static_cast<std::int64_t>(copies_.size());
}

std::optional<Duration> ProfileModel::collective_time(CollectiveKind kind, int ranks,
                                                      Bytes size) const {
  const auto found = collectives_.find({kind, ranks});
  if (found == collectives_.end()) return std::nullopt;
  return interpolated(found->second, size, nullptr);
}

Duration ProfileModel::dispatch(const DeviceSpec&) const { return profile_.dispatch.mean; }

Duration ProfileModel::handover() const { return profile_.handover.mean; }

CostModel::Overlap ProfileModel::overlap(const DeviceSpec&) const {
  if (profile_.interference.empty()) return {};
  Overlap sum{.compute = 0, .communication = 0};
  for (const Interference& entry : profile_.interference) {
    sum.compute += std::max(1.0, entry.slowdown);
    sum.communication += std::max(1.0, entry.communication_slowdown);
  }
  const auto n = static_cast<double>(profile_.interference.size());
  return {.compute = sum.compute / n, .communication = sum.communication / n};
}

IssueCost ProfileModel::issue() const {
  if (!profile_.issue) return {};
  return {.task = profile_.issue->task.mean,
          .record = profile_.issue->record.mean,
          .wait = profile_.issue->wait.mean};
}

double ProfileModel::launches(const Op& op) const {
  return either_way(launches_, op.key).value_or(1);
}

Demand ProfileModel::demand(const Op& op, const DeviceSpec& spec, Duration time) const {
  Demand demand = CostModel::demand(op, spec, time);
  demand.multiprocessors = either_way(shares_, op.key).value_or(demand.multiprocessors);
  return demand;
}

}  // namespace foreplan
