#include "profiler/link_rates.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "profiler/fit.hpp"

namespace foreplan {
namespace {

using Ends = std::pair<DeviceId, DeviceId>;

constexpr double kDuplexAtMost = 4.0 / 3;  ///< slower than this beside the other way: one shares
constexpr double kPortsAtLeast = 1.5;      ///< as fast as this together: not one port

Ends ordered(DeviceId a, DeviceId b) { return {std::min(a, b), std::max(a, b)}; }

/// The lone copy of that pair and size.
std::optional<Duration> alone(const Profile& profile, const ProfiledCopies::Pair& pair,
                              Bytes bytes) {
  for (const ProfiledCopy& copy : profile.copies) {
    if (copy.source == pair.source && copy.destination == pair.destination && copy.bytes == bytes) {
      return copy.time.mean;
    }
  }
  return {};
}

/// Time beside the others over time alone; 1 where the lone copy is not known.
double slowdown(const Profile& profile, const ProfiledCopies& together) {
  const auto lone = alone(profile, together.pairs.front(), together.bytes);
  if (!lone || *lone <= Duration{}) return 1;
  return seconds(together.time.mean) / seconds(*lone);
}

bool both_ways(const ProfiledCopies& copies) {
  return copies.pairs.size() == 2 && copies.pairs[0].source == copies.pairs[1].destination &&
         copies.pairs[0].destination == copies.pairs[1].source;
}

bool one_to_many(const ProfiledCopies& copies) {
  return copies.pairs.size() >= 2 &&
         std::all_of(copies.pairs.begin(), copies.pairs.end(),
                     [&](const auto& pair) { return pair.source == copies.pairs.front().source; });
}

}  // namespace

LinkRates link_rates(const Profile& profile) {
  std::map<Ends, std::vector<FitPoint>> points;
  for (const ProfiledCopy& copy : profile.copies) {
    if (copy.source == copy.destination) continue;
    points[ordered(copy.source, copy.destination)].push_back(
        {.work = static_cast<double>(copy.bytes.count), .time = copy.time.mean});
  }
  LinkRates rates;
  for (const auto& [ends, measured] : points) {
    const LineFit line = fit_line(measured);
    if (!(line.per_s > 0)) continue;
    rates.pairs[ends] = {.bandwidth = {line.per_s}, .latency = line.overhead, .duplex = true};
  }
  std::map<Ends, Bytes> largest;
  Bytes largest_fan;
  for (const ProfiledCopies& together : profile.copies_together) {
    const auto& first = together.pairs.front();
    const auto rate = rates.pairs.find(ordered(first.source, first.destination));
    if (both_ways(together) && rate != rates.pairs.end() &&
        together.bytes >= largest[rate->first]) {
      largest[rate->first] = together.bytes;
      rate->second.duplex = slowdown(profile, together) <= kDuplexAtMost;
    }
    if (one_to_many(together) && together.bytes >= largest_fan) {
      largest_fan = together.bytes;
      const auto copies = static_cast<double>(together.pairs.size());
      rates.one_port = copies / slowdown(profile, together) < kPortsAtLeast;
    }
  }
  return rates;
}

}  // namespace foreplan
