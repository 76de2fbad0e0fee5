#pragma once

#include <string>

#include "planner/estimate.hpp"

namespace foreplan {

/// An estimate for people: step, throughput, utilisation, where the time goes, memory by stage.
std::string describe(const Estimate& estimate, std::int64_t global_batch);

}  // namespace foreplan
