#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "planner/estimate.hpp"

namespace foreplan {

/// The kinds of parallelism that `foreplan speedup` compares: each alone, and what plan() makes of them.
enum class Family : std::uint8_t {
  ddp,            ///< data parallelism, a device's share of the batch in one go
  dataparallel,   ///< the same as PyTorch's DataParallel does it: all goes through device 0
  micro_batches,  ///< data parallelism, the share cut into micro-batches
  zero_1,         ///< data parallelism with the optimizer's state sharded
  zero_2,         ///< gradients too
  zero_3,         ///< parameters too (FSDP)
  tensor,         ///< inside layers; with sequence parallelism where there are sequences
  layer_split,    ///< convolutions by samples, the linear layers behind them by features
  branches,       ///< branches of the network on devices of their own, and replicas of these
  context,        ///< along the sequence
  expert,         ///< data parallelism with the experts shared among replicas
  gpipe,          ///< stages; all forward, then all backward
  one_f_one_b,    ///< stages; one forward, one backward
  interleaved,    ///< stages of several chunks
  zero_bubble,    ///< stages; backward split in two
  hybrid,         ///< any product of these: what plan() finds
};
inline constexpr std::array kFamilies{
    Family::ddp,         Family::dataparallel, Family::micro_batches, Family::zero_1,
    Family::zero_2,      Family::zero_3,       Family::tensor,        Family::layer_split,
    Family::branches,    Family::context,      Family::expert,        Family::gpipe,
    Family::one_f_one_b, Family::interleaved,  Family::zero_bubble,   Family::hybrid};
/// One word, as `--families` takes it.
std::string_view name(Family family);

/// What keeps a family from a number of devices.
enum class Obstacle : std::uint8_t {
  none,
  memory,         ///< no member fits
  batch,          ///< the devices do not divide it
  micro_batches,  ///< no micro-batch suits the schedule, or the share is a single sample
  layers,         ///< fewer than stages or chunks
  cuts,           ///< more than one tensor crosses wherever stages could be cut
  width,          ///< heads or features that the devices do not divide
  sequence,       ///< none, or one that they do not divide
  blocks,         ///< the network is made of them, and their layers are split alike
  branches,       ///< none: no two layers that can be at work at once
  experts,        ///< none, or as many as they do not divide
  mixed_devices,  ///< forecast for devices that are alike only
  precision,      ///< one that not every device knows
  other,          ///< the reason tells
};
std::string_view name(Obstacle obstacle);

/// How a family may lay out a step, or why it cannot.
struct Layouts {
  std::vector<Strategy> strategies;  ///< micro-batch and memory savers open
  Obstacle obstacle = Obstacle::none;
};

/// The layouts of `family` on exactly `devices` devices; on one device each family is what is left of it.
///
/// Interleaved: every number of chunks that shares the layers evenly (embedding and head counted as a
/// layer each, or not), or two to four where none does. Expert: every number of ranks above one that
/// divides the devices. Branches: every bp from two to as many layers as can be at work at once that divides
/// them, and of several replicas with and without their optimizer state sharded. Layer split: where it
/// changes is left open. Hybrid: none are listed, plan() has a space of its own.
Layouts layouts(const Task& task, Family family, int devices);

/// The micro-batches that a layout of the family may work on: of all that divide the share of a rank,
/// into at most kMostMicroBatches, the whole share (ddp, dataparallel), less (micro_batches), or any.
/// @return  ascending
std::vector<std::int64_t> micro_batches_of(Family family, std::int64_t share);

/// What stands in the way of a family whose every layout was refused on so many devices.
Obstacle usual_obstacle(const Task& task, Family family, int devices);

}  // namespace foreplan
