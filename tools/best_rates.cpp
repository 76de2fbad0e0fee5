#include "tools/best_rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace foreplan {
namespace {

double rate(double amount, Duration time) { return time > Duration{} ? amount / seconds(time) : 0; }

double best_copy(const Profile& profile) {
  double best = 0;
  for (const ProfiledCopy& copy : profile.copies) {
    if (copy.source != copy.destination) continue;
    best = std::max(best, rate(2 * static_cast<double>(copy.bytes.count), copy.time.mean));
  }
  return best;
}

}  // namespace

std::vector<BestRate> best_rates(const Profile& profile, const DeviceSpec& spec) {
  std::map<DType, double> products;
  std::map<std::string, double> others;
  for (const ProfiledOp& op : profile.ops) {
    if (op.key.op == "linear" || op.key.op == "matmul") {
      double& best = products[op.key.dtype];
      best = std::max(best, rate(op.flops.count, op.time.mean));
    } else {
      double& best =
          others[fmt::format("{}.{} {}", op.key.op, name(op.key.pass), name(op.key.dtype))];
      best = std::max(best, rate(static_cast<double>(op.traffic.count), op.time.mean));
    }
  }
  std::vector<BestRate> rates;
  for (const auto& [dtype, best] : products) {
    const auto peak = spec.peak.find(dtype);
    rates.push_back({.what = fmt::format("products {}", name(dtype)),
                     .variable = "flops",
                     .per_s = best,
                     .ceiling_per_s = peak != spec.peak.end() ? peak->second.flops_per_s : 0});
  }
  const double copy = best_copy(profile);
  if (copy > 0) {
    rates.push_back({.what = "copy within a device",
                     .variable = "bytes",
                     .per_s = copy,
                     .ceiling_per_s = spec.memory_bandwidth.bytes_per_s});
  }
  for (const auto& [what, best] : others) {
    rates.push_back({.what = what, .variable = "bytes", .per_s = best, .ceiling_per_s = copy});
  }
  return rates;
}

}  // namespace foreplan
