#pragma once

#include <string>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/profile.hpp"

namespace foreplan {

/// The fastest that something ran at any of its measured sizes, beside what bounds it.
struct BestRate {
  std::string what;      ///< "products bf16", "copy within a device", "layer_norm.forward bf16"
  std::string variable;  ///< "flops", "bytes"
  double per_s = 0;
  double ceiling_per_s = 0;  ///< 0: not known
};

/// Products by format, beside the device's peak; copies within a device (read and written bytes), beside its
/// memory's bandwidth; every other op and pass by format (its traffic), beside the best such copy.
std::vector<BestRate> best_rates(const Profile& profile, const DeviceSpec& spec);

}  // namespace foreplan
