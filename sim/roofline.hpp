#pragma once

#include "sim/cost_model.hpp"

namespace foreplan {

/// The least time in which `spec` can do `op`, given its peaks.
///
///   t = max(flops / peak(dtype), traffic / memory_bandwidth)
///
/// @throws Error(invalid_argument) if the device has no peak for the dtype
/// Source: Williams, Waterman and Patterson, Roofline, CACM 52(4), 2009.
Duration roofline_time(const Op& op, const DeviceSpec& spec);

/// Data sheets only: every op at its roofline, copies by the links. Optimistic by construction.
class RooflineModel final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec& spec) const override;
  std::optional<Duration> copy_time(Bytes size, DeviceId source,
                                    DeviceId destination) const override;
  Duration dispatch(const DeviceSpec& spec) const override { return spec.launch_overhead; }
  Duration handover() const override { return Duration::zero(); }
};

}  // namespace foreplan
