#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

// Vector variants are chosen when the program is loaded, before sanitizers are ready; with those
// there is only the plain variant.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    defined(__OPTIMIZE__) && !defined(__clang__)
#define FOREPLAN_VECTOR_VARIANTS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOREPLAN_VECTOR_VARIANTS
#endif

#if defined(__GNUC__) && !defined(__clang__)
// No iteration of the next loop touches what another one writes.
#define FOREPLAN_INDEPENDENT _Pragma("GCC ivdep")
#else
#define FOREPLAN_INDEPENDENT
#endif

namespace foreplan {

/// e^x for x in [-87, 88]; x beyond is taken as the nearer end. Within 2 ulp.
///
/// Branch-free, so that a loop over it becomes vector instructions: x = k ln 2 + r with |r| <= ln 2
/// / 2, e^r by its Taylor series to r^7 (the rest is below 6e-9 of the value), times 2^k by the
/// exponent bits.
inline float vector_exp(float x) {
  x = std::min(std::max(x, -87.0F), 88.0F);
  // Adding 1.5 * 2^23 leaves no bits behind the point: rounds to nearest.
  constexpr float kRounder = 12582912.0F;
  const float k = (x * 1.44269504F + kRounder) - kRounder;
  const float r = (x - k * 0.693359375F) - k * -2.12194440e-4F;
  float p = 1.0F / 5040;
  p = p * r + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(k) + 127) << 23);
}

/// The square root of a finite x >= 0, within 3 ulp of normal numbers; exactly 0 for 0.
///
/// std::sqrt may set errno, which keeps a loop over it from becoming vector instructions. Newton's
/// iteration for 1 / sqrt(x) from a guess that halves the exponent: 3.5e-2, 1.8e-3, 5e-6, 4e-11 off.
inline float vector_sqrt(float x) {
  const auto bits = static_cast<std::int32_t>(0x5f375a86) - (std::bit_cast<std::int32_t>(x) >> 1);
  float y = std::bit_cast<float>(bits);
  y *= 1.5F - 0.5F * (x * y) * y;
  y *= 1.5F - 0.5F * (x * y) * y;
  y *= 1.5F - 0.5F * (x * y) * y;
  return x * y;
}

/// The distribution function Phi and the density phi of the normal distribution at one point.
struct Normal {
  float below;    ///< Phi(x)
  float density;  ///< phi(x)
};

/// Both to 3e-7 absolutely; Phi of a negative x also to 2e-6 relatively down to x = -5.
///
/// Phi(-a) = e^(-a^2/2) g(a) for a >= 0, where g is Mills' ratio over sqrt(2 pi): with t = 1/(1 +
/// 0.21 a), g = t q(t), q a polynomial of degree 8 through the Chebyshev nodes of a in [0, 13]
/// (relative error 3e-8; beyond 13 the factor is nearly 0).
inline Normal vector_normal(float x) {
  const float a = std::min(std::fabs(x), 13.0F);
  const float t = 1.0F / (1.0F + 0.21F * a);
  const float u = t * 2.732600733F - 1.732600733F;  // t in [1/3.73, 1] onto [-1, 1]
  float q = -2.350850389e-05F;
  q = q * u - 7.028346169e-05F;
  q = q * u + 0.0002934267561F;
  q = q * u + 0.003047651875F;
  q = q * u + 0.01329991682F;
  q = q * u + 0.03923836447F;
  q = q * u + 0.08705678024F;
  q = q * u + 0.1508842072F;
  q = q * u + 0.2062734378F;
  const float e = vector_exp(-0.5F * a * a);
  const float tail = e * t * q;
  return {x < 0.0F ? tail : 1.0F - tail, e * 0.3989422804F};
}

/// y[i] (+)= value(i) for i in [0, n); y may be an operand of `value`.
template <typename Value>
inline void fill(std::int64_t n, float* y, bool accumulate, Value value) {
  if (accumulate) {
    FOREPLAN_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) y[i] += value(i);
  } else {
    FOREPLAN_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) y[i] = value(i);
  }
}

/// The sum of term(i), i in [0, n), in fp64, in an order that depends on n alone.
///
/// Sixteen sums side by side: the compiler may not reorder one.
template <typename Term>
inline double sum(std::int64_t n, Term term) {
  std::array<double, 16> lanes{};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::int64_t lane = 0; lane < 16; ++lane) {
      lanes[static_cast<std::size_t>(lane)] += static_cast<double>(term(i + lane));
    }
  }
  double total = 0;
  for (const double lane : lanes) total += lane;
  for (; i < n; ++i) total += static_cast<double>(term(i));
  return total;
}

}  // namespace foreplan
