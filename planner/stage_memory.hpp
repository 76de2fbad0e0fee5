#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/gradient_sync.hpp"
#include "planner/rank_groups.hpp"
#include "planner/stage_layout.hpp"
#include "planner/unit_work.hpp"

namespace foreplan {

/// A unit class on some virtual stage: so many of it, recomputed or not.
struct UnitPiece {
  std::size_t unit_class = 0;
  std::int32_t count = 0;
  Recompute recompute = Recompute::none;
};

/// What a unit keeps of a micro-batch until its backward.
Bytes kept_by(const UnitWork& work, Recompute recompute);

/// What the memory of a stage's device follows from.
struct StageHolding {
  const Task& task;
  int zero = 0;
  Offload offload = Offload::none;
  const RankGroups& groups;
  const UnitChain& chain;
  const std::vector<UnitWork>& works;              ///< by unit class
  std::span<const std::vector<UnitPiece>> chunks;  ///< of the stage
  StageState state{};
  Bytes activations{};  ///< the most that is in flight, less what lies on the host
};

/// Buffers behind the last backward.
struct StepBuffers {
  Bytes reduced{}, flat{}, shard{}, gathered{};
  Bytes most() const { return std::max({reduced, flat + shard, gathered}); }
};
StepBuffers step_buffers(const StageHolding& stage);

/// What stands for weights' gradients: of all kinds of layers, and of whatever else is largest.
Bytes placeholders(const StageHolding& stage);

/// All of it. `StageMemory::stage` is left to the caller.
StageMemory stage_memory(const StageHolding& stage);

}  // namespace foreplan
