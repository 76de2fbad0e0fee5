#include "sim/units.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <span>
#include <string_view>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Extended precision: a double cannot hold every picosecond of more than two hours.
Duration nearest(long double picoseconds) {
  const long double rounded = std::round(picoseconds);
  if (!(std::fabs(rounded) < 0x1p63L)) {
    reject(fmt::format("a duration of {} s is out of range (9.2e6 s)",
                       static_cast<double>(picoseconds * 1e-12L)));
  }
  return Duration(static_cast<std::int64_t>(rounded));
}

Duration time_for(long double amount, double rate_per_s, std::string_view unit) {
  if (!(rate_per_s > 0)) {
    reject(fmt::format("expected a rate above 0 {}, got {}", unit, rate_per_s));
  }
  return nearest(amount * 1e12L / static_cast<long double>(rate_per_s));
}

/// Three significant digits of `value` with the largest prefix that leaves a number >= 1; prefixes
/// rise by 1000.
std::string with_prefix(double value, std::span<const std::string_view> prefixes,
                        std::string_view unit) {
  constexpr double kRoundsUp = 999.5;
  std::size_t i = 0;
  while (i + 1 < prefixes.size() && std::fabs(value) >= kRoundsUp) {
    value /= 1000;
    ++i;
  }
  const std::string digits =
      std::fabs(value) >= kRoundsUp ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
  return fmt::format("{} {}{}", digits, prefixes[i], unit);
}

constexpr std::array<std::string_view, 8> kLarge = {"", "k", "M", "G", "T", "P", "E", "Z"};
constexpr std::array<std::string_view, 5> kSmall = {"p", "n", "u", "m", ""};

}  // namespace

Duration duration_from_seconds(double seconds) {
  return nearest(static_cast<long double>(seconds) * 1e12L);
}

Duration operator/(Bytes size, Bandwidth rate) {
  return time_for(static_cast<long double>(size.count), rate.bytes_per_s, "B/s");
}

Duration operator/(Flops work, FlopRate rate) {
  return time_for(static_cast<long double>(work.count), rate.flops_per_s, "FLOP/s");
}

std::string format(Duration duration) {
  if (duration == Duration::zero()) return "0 s";
  return with_prefix(static_cast<double>(duration.count()), kSmall, "s");
}

std::string format(Bytes size) { return with_prefix(static_cast<double>(size.count), kLarge, "B"); }

std::string format(Flops work) { return with_prefix(work.count, kLarge, "FLOP"); }

std::string format(Bandwidth rate) { return with_prefix(rate.bytes_per_s, kLarge, "B/s"); }

}  // namespace foreplan
