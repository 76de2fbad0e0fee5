#include "sim/roofline.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/error.hpp"

namespace foreplan {

Duration roofline_time(const Op& op, const DeviceSpec& spec) {
  const auto peak = spec.peak.find(op.key.dtype);
  if (peak == spec.peak.end()) {
    reject(fmt::format("device '{}' has no peak for {}, which {} needs", spec.name,
                       name(op.key.dtype), format(op.key)));
  }
  return std::max(op.flops / peak->second, op.traffic / spec.memory_bandwidth);
}

Duration RooflineModel::compute_time(const Op& op, const DeviceSpec& spec) const {
  return roofline_time(op, spec);
}

std::optional<Duration> RooflineModel::copy_time(Bytes, DeviceId, DeviceId) const {
  return std::nullopt;
}

}  // namespace foreplan
