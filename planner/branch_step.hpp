#pragma once

#include <cstdint>
#include <vector>

#include "planner/branch_placement.hpp"
#include "planner/estimate.hpp"
#include "planner/folded_step.hpp"
#include "planner/rank_groups.hpp"
#include "planner/unit_cost.hpp"

namespace foreplan {

/// A step of a flat network whose branches lie on devices of their own: every replica has bp of them, and each
/// layer lies on one.
///
///   micro-batches, one behind the other: forward through the stretches, backward through them;
///   gradients of a device's layers all-reduced among its likes of other replicas, in buckets beside the last
///   backward (zero 1: reduce-scattered); their norm known to all (clip_gradients); each device updates its own
///   (zero 1: of that its share, and gathers the others'); Stack::host_step
///
/// Layers are placed stretch by stretch (planner/branch_placement.hpp), or all on the first device where that
/// is no slower in the whole step, buckets included; the others then idle. A copy takes what a message between
/// two devices of the replica does, the slowest pair, all replicas at once. Where a stretch is too large to
/// try everything its placement is a heuristic; the forecast of a placement is exact.
///
/// Priced as FoldedStep prices: units op by op. Buckets slow down a backward that waits as one that works.
class BranchStep {
 public:
  /// Model and cluster of the task must outlive it.
  /// @throws Error(invalid_argument) if the network is made of blocks or has fewer layers side by side than
  ///   bp, devices differ, or the strategy is more than dp, bp, a micro-batch and zero 1
  BranchStep(const Task& task, const Strategy& strategy);

  Estimate estimate() const;
  /// The same step as tasks of one replica's devices.
  FoldedGraph graph() const;
  /// By layer, from the first to the loss: its device in a replica.
  std::vector<std::int32_t> placement() const;
  /// Whether every placement of every stretch was tried, so that none makes a micro-batch faster, in
  /// BranchSchedule's order.
  bool proven() const { return proven_; }

 private:
  class GraphWriter;
  /// A stretch as it is placed.
  struct Way {
    PlacedStretch placed;
    Duration without_copies{};
    StretchWay forward, backward;
  };
  /// What a device does behind its micro-batches.
  struct DeviceEnd {
    Duration finish{};  ///< of its last backward
    Duration ready{};   ///< its gradients are aggregated, the norm of all is known
    Duration update{}, gather{};
    StageState state{};
  };
  struct Course {
    std::vector<Way> ways{};
    Duration once{};            ///< a micro-batch
    Duration without_copies{};  ///< the same if copies took no time
    std::vector<DeviceEnd> ends{};
    std::vector<StageMemory> memory{};  ///< by device
    Duration step{};
    bool feasible = true;
  };

  void lower();
  bool inside_nodes() const;
  Duration copy_time(Bytes bytes) const;
  Bytes bytes_of(std::size_t stretch, std::int32_t tensor) const;
  std::vector<Way> placed() const;
  std::vector<Way> on_one_device() const;
  Way way_of(std::size_t stretch, PlacedStretch placed) const;
  Course course_of(std::vector<Way> ways) const;
  DeviceEnd end_of(const Course& course, std::int32_t device) const;
  void wait_for_norm(Course& course) const;
  StageMemory memory_of(const Course& course, std::int32_t device) const;
  Bytes arriving(const Course& course, std::int32_t device) const;

  const Task task_;
  Strategy strategy_;
  BatchSplit batch_;
  RankGroups groups_;
  UnitChain chain_;  ///< a class and a unit for each layer
  std::vector<Stretch> stretches_;
  std::vector<UnitWork> works_;  ///< by layer
  std::vector<UnitCost> costs_;
  std::vector<StretchCost> stretch_costs_;
  Course course_;
  bool proven_ = true;
};

/// What the layers of a stretch cost, copies left out.
/// @param costs  by layer of the network
StretchCost stretch_cost(const Stretch& stretch, const std::vector<UnitCost>& costs);

}  // namespace foreplan
