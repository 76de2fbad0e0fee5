#pragma once

#include <span>

#include "sim/cost_model.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// A unit whose parameters are sharded over the replicas (zero 3), or only its gradients (zero 2).
struct ShardedUnit {
  Duration compute{};
  Duration gather{};  ///< its parameters, before it computes
  Duration reduce{};  ///< its gradients, behind it; backward only
};

/// Two lanes, one that computes and one that communicates, each in order; a unit computes once its
/// parameters are there. With prefetch a unit's gather is issued when the unit before begins, otherwise
/// when that has ended. Reductions stand in the lane that communicates, behind the gather that was issued
/// before them. While both lanes are at work each is slower by its factor of `overlap`.
/// Source: Zhao et al., PyTorch FSDP, VLDB 16(12), 2023, section 3.3.
struct ShardedWalk {
  Duration computed{};      ///< when the last unit has computed
  Duration communicated{};  ///< when the last reduction is done; `computed` where there is none
};
ShardedWalk walk_sharded(std::span<const ShardedUnit> units, bool prefetch,
                         const CostModel::Overlap& overlap = {});

}  // namespace foreplan
