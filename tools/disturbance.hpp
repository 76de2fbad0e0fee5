#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sim/perturbation.hpp"

namespace foreplan {

/// What commands are told of slow devices and chance.
struct Disturbance {
  std::vector<std::string> slow{};  ///< "3:1.3": device 3 takes 1.3 times as long
  double jitter = 0;                ///< deviation of the factor of each task; 0: none
  int runs = 100;
  std::uint64_t seed = 1;
  Jitter chance() const { return {jitter, seed}; }
};

/// Reads "3:1.3".
/// @throws Error(invalid_argument) telling what was expected
SlowDevice slow_device(const std::string& text);

/// `deviation`, `seed`, `runs`, `mean_s`, `p5_s` to `p99_s`, `max_s`.
nlohmann::ordered_json jitter_json(const Disturbance& told, const MakespanSample& sample);
/// The same in a line.
std::string jitter_text(const Disturbance& told, const MakespanSample& sample);

/// A step that `replicas` do side by side, each with chance of its own, and that ends with the last:
/// run r of replica d is run r replicas + d of `graph`, which shares no links.
/// @throws Error(invalid_argument) as `jittered` and Replayer do
MakespanSample replicated_jitter(const TaskGraph& graph, const Costs& costs,
                                 const Disturbance& told, int replicas);

}  // namespace foreplan
