#pragma once

#include <vector>

#include "planner/strategy.hpp"

namespace foreplan {

/// One piece of a stage's work: a micro-batch forward or backward.
struct PipelineAction {
  bool forward = true;
  int micro_batch = 0;
  friend bool operator==(const PipelineAction&, const PipelineAction&) = default;
};

/// What stage `stage` of `stages` does, in order.
///
/// GPipe: all forward, then all backward. 1F1B: min(m, p - s - 1) forward, then one forward and one
/// backward in turn, then the backward that are left, so that at most min(m, p - s) micro-batches are
/// in flight.
/// @throws Error(invalid_argument) unless 0 <= stage < stages and micro_batches >= 1
std::vector<PipelineAction> pipeline_schedule(Schedule schedule, int stages, int stage,
                                              int micro_batches);

}  // namespace foreplan
