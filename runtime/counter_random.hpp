#pragma once

#include <cstdint>

namespace foreplan {

/// 64 random bits that depend on seed, stream and index alone, so that any part of a sequence can
/// be made by itself, in any order, on any device.
///
/// The finaliser of SplitMix64 over the three numbers, one behind the other.
/// Source: Steele, Lea and Flood, OOPSLA 2014.
inline std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const auto mix = [](std::uint64_t z) {
    z += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  };
  return mix(mix(mix(seed) ^ stream) ^ index);
}

/// Uniform in [-1, 1): 24 of the bits.
inline float random_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const auto bits = static_cast<std::int32_t>(random_bits(seed, stream, index) >> 40U);
  return static_cast<float>(bits - (1 << 23)) / static_cast<float>(1 << 23);
}

/// Nearly normal, mean 0, variance 1: the sum of four uniforms of 16 bits each (Irwin and Hall),
/// whole numbers up to the last step, so the same on every machine. At most 3.47 in magnitude.
inline float random_normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const std::uint64_t bits = random_bits(seed, stream, index);
  std::int32_t total = 0;
  for (unsigned part = 0; part < 4; ++part) {
    total += static_cast<std::int32_t>((bits >> (16 * part)) & 0xffffU);
  }
  // Four uniforms of 0 .. 65535: mean 2 * 65535, variance 4 (2^32 - 1) / 12.
  constexpr float kDeviation = 37837.227F;
  return static_cast<float>(total - 2 * 65535) / kDeviation;
}

}  // namespace foreplan
