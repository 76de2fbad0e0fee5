#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "planner/speedup.hpp"

namespace foreplan {

/// A speed-up table for people: families by numbers of devices, what keeps a family from where it has no
/// number, the best of each, and which is fastest.
std::string describe(const SpeedupTable& table, const Task& task);

/// What `speedup --json` prints, as docs/formats.md tells it.
nlohmann::ordered_json to_json(const SpeedupTable& table);

/// @throws Error(invalid_argument) naming the word that is no family
std::vector<Family> families_named(const std::vector<std::string>& words);

}  // namespace foreplan
