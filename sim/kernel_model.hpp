#pragma once

#include "sim/cost_model.hpp"

namespace foreplan {

/// Queries that fused attention works on at a time; Dao, FlashAttention-2, arXiv:2307.08691, section 3.3.
inline constexpr double kAttentionTile = 128;

/// The time of `op` on `spec` as one kernel, from what the device's multiprocessors, its caches and its memory
/// can do (`DeviceSpec::kernels`); docs/forecast.md derives each line.
///
///   matrix product, batch products of m x k by k x n, in tiles of a x b, the k of each split in s
///     waves = ceil(batch ceil(m/a) ceil(n/b) s / multiprocessors)
///     t     = waves (max(2 a b / F, (a + b) e / L) ceil(k/s) + overhead),  and at least traffic / B
///             F = peak efficiency / multiprocessors [FLOP/s],  L = l2 / multiprocessors [B/s], e bytes each
///             and, split, the partial sums: 8 s batch m n / B + overhead
///             the least over the tiles of 64 to 256 and s of 1, 2, 4, 8 that leave 256 of k and fill two waves
///             at most; so more rows or columns never take less, but more of k may, where it opens a split
///   fused attention: a tile of 128 queries (backward: of keys) of a head each
///     t     = ceil(tiles / multiprocessors) multiprocessors / tiles * executed (products / (peak efficiency) +
///             scores / (16 multiprocessors clock)) / share * lag + overhead
///             five products backward for the four that count; lag of an older generation of kernels
///   all else: ramp + traffic / B;            B = memory_bandwidth memory_efficiency
///
/// Without `kernels` it is the roofline.
/// @throws Error(invalid_argument) if the device has no peak for the dtype
Duration kernel_time(const Op& op, const DeviceSpec& spec);

/// Of the time that a product or fused attention takes at full clock, the share in which its multiprocessors
/// multiply at the rate that they reach, at most 1: g executed FLOPs / (peak efficiency time), g = 5/4 for fused
/// attention backward. Where tiles do not fill a wave, bytes are waited for, exponentials stand between products
/// or the kernel is of an older generation, it is less. 0 for what multiplies no matrices, or without `kernels`.
double product_activity(const Op& op, const DeviceSpec& spec, Duration time);

/// How many times as long products take under a power limit, 1/x with x the clock over the full one.
///
/// Power goes as f V^2, and V as f. Over what the limit leaves beside leakage, products at full clock draw q
/// (`KernelFacts::product_power`), other kernels and exchanges 1/2. Products of a share u of the time at full
/// clock (`product_activity`), u' = (u/x) / (u/x + 1 - u) at clock x, may draw
///
///   u' q x^3 + (1 - u') / 2 <= 1        x = 1 where that holds there
///
/// q goes with the measured devices' limit over the device's. Solved by iteration; 1 without q.
double power_slowdown(double share, const DeviceSpec& spec);

/// Every op as one kernel on what its device is known to reach; copies by the links.
class KernelModel final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec& spec) const override;
  std::optional<Duration> copy_time(Bytes size, DeviceId source,
                                    DeviceId destination) const override;
  Duration dispatch(const DeviceSpec& spec) const override { return spec.launch_overhead; }
  Duration handover() const override { return Duration::zero(); }
  double product_slowdown(double share, const DeviceSpec& spec) const override {
    return power_slowdown(share, spec);
  }
  double launches(const Op& op) const override { return op.launches; }
};

}  // namespace foreplan
