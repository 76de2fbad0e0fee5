#pragma once

#include <vector>

#include "planner/estimate.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

// What steps have in common that shard no state, repeat no forward and have one micro-batch in flight.

/// The memory of a device that does these units, as FoldedStep counts it.
/// @param units  in the order of forward
StageMemory plain_memory(const Task& task, const std::vector<const UnitWork*>& units);

/// Fills in the rates of an estimate whose strategy, step time and memory are told.
void fill_plain_rates(const Task& task, Estimate& estimate);

}  // namespace foreplan
