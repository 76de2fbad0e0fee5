#pragma once

#include "sim/cost_model.hpp"

namespace foreplan {

/// The time of `op` on `spec` as one kernel, from what the device's multiprocessors, its caches and its memory
/// can do (`DeviceSpec::kernels`); docs/forecast.md derives each line.
///
///   matrix product, batch products of m x k by k x n, in tiles of a x b, the k of each split in s
///     waves = ceil(batch ceil(m/a) ceil(n/b) s / multiprocessors)
///     t     = waves (max(2 a b / F, (a + b) e / L) ceil(k/s) + overhead),  and at least traffic / B
///             F = peak efficiency / multiprocessors [FLOP/s],  L = l2 / multiprocessors [B/s], e bytes each
///             the least over the tiles of 64 to 256 and, where one wave is not full, s of 1 to 8
///   fused attention: a tile of 128 queries (backward: of keys) of a head each
///     t     = ceil(tiles / multiprocessors) multiprocessors / tiles * executed (products / (peak efficiency) +
///             scores / (16 multiprocessors clock)) / share * lag + overhead
///             five products backward for the four that count; lag of an older generation of kernels
///   all else: ramp + traffic / B;            B = memory_bandwidth memory_efficiency
///
/// A device whose power is limited below that of the measured ones computes at a lower clock: power goes as
/// f V^2, and V as f, so its products sustain (power / measured power)^(1/3) of the rate.
///
/// Without `kernels` it is the roofline.
/// @throws Error(invalid_argument) if the device has no peak for the dtype
Duration kernel_time(const Op& op, const DeviceSpec& spec);

/// Every op as one kernel on what its device is known to reach; copies by the links.
class KernelModel final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec& spec) const override;
  std::optional<Duration> copy_time(Bytes size, DeviceId source,
                                    DeviceId destination) const override;
  Duration dispatch(const DeviceSpec& spec) const override { return spec.launch_overhead; }
  Duration handover() const override { return Duration::zero(); }
  double launches(const Op& op) const override { return op.launches; }
};

}  // namespace foreplan
