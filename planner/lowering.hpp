#pragma once

#include <cstdint>

#include "models/op_graph.hpp"
#include "models/optimizer.hpp"
#include "planner/parameter_layout.hpp"
#include "planner/strategy.hpp"
#include "sim/collective.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

struct LoweringOptions {
  Optimizer optimizer = Optimizer::sgd;
  /// Whether the devices copy and aggregate beside compute (DeviceSpec::concurrent_streams). Where
  /// not, every task of a device stands in its compute stream, in the order told below.
  bool concurrent_streams = true;
  /// Whether devices exchange data. Without, each does its compute alone, on whatever lies in its
  /// buffers: what the profiler runs to measure ops in their own sequence.
  bool communication = true;
  BucketSizes buckets{};
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;  ///< of all collectives
};

/// One training step of `model` under `strategy` as a TaskGraph, in fp32.
///
/// Each device, in order: for every action of its stage's schedule (planner/pipeline_schedule.hpp)
/// it pulls what the action needs from the neighbouring stage, then computes layer by layer, with
/// tensor-parallel collectives where the sharding needs them; gradients of micro-batches add up; then
/// buckets of gradients are all-reduced over the data-parallel ranks as rings, in order of readiness;
/// then the optimizer runs, a task a bucket. Backward computes a layer's input gradient before its
/// weight gradient, so that what others wait for comes first.
///
/// With concurrent streams, pulls stand in the copy-in stream, gradient buckets in the collective
/// stream and tensor-parallel collectives in one named "tensor_parallel".
///
/// Activations live from the task that makes them to the last that reads them; parameters,
/// gradients, optimizer state, samples and labels persist.
/// @param strategy  with `layers` told when pp > 1
/// @throws Error(invalid_argument) as check(strategy, ...) does
TaskGraph lower(const OpGraph& model, const Strategy& strategy, std::int64_t global_batch,
                const LoweringOptions& options);

}  // namespace foreplan
