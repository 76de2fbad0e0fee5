#pragma once

#include <cstdint>
#include <vector>

#include "planner/strategy.hpp"

namespace foreplan {

/// One piece of a stage's work: a micro-batch through one of the stage's chunks.
struct PipelineAction {
  enum class Kind : std::uint8_t {
    forward,
    backward,         ///< of the input and of the weights in one
    backward_input,   ///< the gradient of the input, which the stage before waits for
    backward_weight,  ///< the gradient of the weights, any time behind
  };
  Kind kind = Kind::forward;
  int micro_batch = 0;
  int chunk = 0;
  friend bool operator==(const PipelineAction&, const PipelineAction&) = default;
};

/// The pipeline that a schedule is drawn for.
struct PipelineShape {
  Schedule schedule = Schedule::one_f_one_b;
  int stages = 1;         ///< p
  int chunks = 1;         ///< v, parts of the model that a stage holds
  int micro_batches = 1;  ///< m
  int virtual_stages() const { return stages * chunks; }
  friend bool operator==(const PipelineShape&, const PipelineShape&) = default;
};

/// The pipeline that a strategy asks for: 1F1B with vpp > 1 is interleaved, ZB-V and DualPipe have two
/// chunks whether vpp says so or is left at 1.
/// @throws Error(invalid_argument) as check_pipeline() does
PipelineShape pipeline_shape(const Strategy& strategy, int micro_batches);

/// @throws Error(invalid_argument) with the reason: sizes below 1; chunks that the schedule does not
///   have; interleaved with m that p does not divide; DualPipe with p or m odd, or m < 2p
void check_pipeline(const PipelineShape& shape);

/// What stage `stage` does, in order. Every micro-batch goes through every virtual stage once forward
/// and once backward, whole or in its two parts; of DualPipe's micro-batches the first half goes
/// through chunks 0, the second through chunks 1.
/// @throws Error(invalid_argument) unless check_pipeline() passes and 0 <= stage < p
std::vector<PipelineAction> pipeline_schedule(const PipelineShape& shape, int stage);

/// Where chunk `chunk` of stage `stage` lies in the chain of virtual stages.
///
///   ZB-V, DualPipe: stage, and 2 pp - 1 - stage on the way back; all others: chunk pp + stage
///
/// DualPipe has two chains of pp, and each holds the whole model: 0 to pp - 1, and pp to 2 pp - 1, of
/// which pp + j has the layers of j. No data crosses from pp - 1 to pp.
/// @throws Error(invalid_argument) unless 0 <= stage < pp and 0 <= chunk < the schedule's chunks
int virtual_stage(Schedule schedule, int pp, int vpp, int stage, int chunk);

/// Whether data crosses from virtual stage `at` to the next: not from the last, nor between DualPipe's
/// two chains.
bool has_next(const PipelineShape& shape, int at);

/// The stage that virtual stage `at` lies on: the inverse of virtual_stage().
int stage_of(const PipelineShape& shape, int at);

/// The most chunks of micro-batches whose forward has begun and that still wait, on one stage.
struct InFlight {
  int until_input = 0;   ///< for their backward, or the input's part of it
  int until_weight = 0;  ///< for all of their backward
  friend bool operator==(const InFlight&, const InFlight&) = default;
};

/// In flight on `stage` r at most:
///
///   GPipe        m
///   1F1B         min(m, p - r)
///   interleaved  min(m v, 2 (p - r - 1) + (v - 1) p + 1) chunks
///   ZB-H1        min(m, p - r); min(m, p) until their weight gradient
///   ZB-H2        min(m, 2 (p - r) - 1); min(m, 2p - 1) until their weight gradient
///   ZB-V         min(m, 2p - r - 1) + min(m, r + 1) chunks, each half of a stage
///   DualPipe     p + 1
///
/// Sources: docs/schedules.md.
/// @throws Error(invalid_argument) as pipeline_schedule() does
InFlight in_flight(const PipelineShape& shape, int stage);

}  // namespace foreplan
