#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace foreplan {

/// A span of time, or an instant counted from the start of a step: whole picoseconds.
///
/// An integer, so that equal means equal and the order of events never hangs on rounding; 106 days
/// at most. Any std::chrono duration of whole picoseconds converts: `Duration t = 3us;`.
using Duration = std::chrono::duration<std::int64_t, std::pico>;

/// An amount of data [B].
struct Bytes {
  std::int64_t count = 0;
  friend constexpr auto operator<=>(Bytes, Bytes) = default;
  constexpr Bytes& operator+=(Bytes other) { return count += other.count, *this; }
  constexpr Bytes& operator-=(Bytes other) { return count -= other.count, *this; }
};

/// An amount of arithmetic [floating-point operations]; a multiply-add counts as two.
///
/// Floating point: a step of a large network exceeds 2^63 operations.
struct Flops {
  double count = 0;
  friend constexpr auto operator<=>(Flops, Flops) = default;
  constexpr Flops& operator+=(Flops other) { return count += other.count, *this; }
};

/// A rate of data [B/s].
struct Bandwidth {
  double bytes_per_s = 0;
  friend constexpr auto operator<=>(Bandwidth, Bandwidth) = default;
};

/// A rate of arithmetic [FLOP/s].
struct FlopRate {
  double flops_per_s = 0;
  friend constexpr auto operator<=>(FlopRate, FlopRate) = default;
};

constexpr Bytes operator+(Bytes a, Bytes b) { return {a.count + b.count}; }
constexpr Bytes operator-(Bytes a, Bytes b) { return {a.count - b.count}; }
constexpr Bytes operator*(Bytes a, std::int64_t n) { return {a.count * n}; }
constexpr Bytes operator*(std::int64_t n, Bytes a) { return a * n; }
constexpr Bytes operator/(Bytes a, std::int64_t n) { return {a.count / n}; }
constexpr Flops operator+(Flops a, Flops b) { return {a.count + b.count}; }
constexpr Flops operator*(Flops a, double n) { return {a.count * n}; }

/// The nearest whole picosecond to `seconds` [s].
/// @throws Error(invalid_argument) if not finite or beyond what a Duration holds (9.2e6 s)
Duration duration_from_seconds(double seconds);

/// `duration` in seconds [s].
constexpr double seconds(Duration duration) {
  return static_cast<double>(duration.count()) * 1e-12;
}

/// Time to move `size` at `rate`, to the nearest picosecond.
/// @throws Error(invalid_argument) if the rate is not positive or the time is out of range
Duration operator/(Bytes size, Bandwidth rate);

/// Time to compute `work` at `rate`, to the nearest picosecond.
/// @throws Error(invalid_argument) if the rate is not positive or the time is out of range
Duration operator/(Flops work, FlopRate rate);

/// For people: three significant digits and a decimal prefix: "1.25 ms", "0 s".
std::string format(Duration duration);
/// For people: "16.8 MB" (decimal: 10^6 bytes).
std::string format(Bytes size);
/// For people: "25.7 MFLOP".
std::string format(Flops work);
/// For people: "12.5 GB/s".
std::string format(Bandwidth rate);

inline namespace literals {
// clang-format off
constexpr Bytes operator""_B(unsigned long long n) { return {static_cast<std::int64_t>(n)}; }
constexpr Bytes operator""_KB(unsigned long long n) { return {static_cast<std::int64_t>(n) * 1'000}; }
constexpr Bytes operator""_MB(unsigned long long n) { return {static_cast<std::int64_t>(n) * 1'000'000}; }
constexpr Bytes operator""_GB(unsigned long long n) { return {static_cast<std::int64_t>(n) * 1'000'000'000}; }
constexpr Bytes operator""_KiB(unsigned long long n) { return {static_cast<std::int64_t>(n) << 10}; }
constexpr Bytes operator""_MiB(unsigned long long n) { return {static_cast<std::int64_t>(n) << 20}; }
constexpr Bytes operator""_GiB(unsigned long long n) { return {static_cast<std::int64_t>(n) << 30}; }
constexpr Bandwidth operator""_GBps(unsigned long long n) { return {static_cast<double>(n) * 1e9}; }
constexpr Bandwidth operator""_MBps(unsigned long long n) { return {static_cast<double>(n) * 1e6}; }
constexpr FlopRate operator""_GFLOPps(unsigned long long n) { return {static_cast<double>(n) * 1e9}; }
constexpr FlopRate operator""_TFLOPps(unsigned long long n) { return {static_cast<double>(n) * 1e12}; }
// clang-format on
}  // namespace literals

}  // namespace foreplan
