#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "planner/estimate.hpp"
#include "planner/folded_step.hpp"
#include "planner/rank_groups.hpp"
#include "planner/unit_cost.hpp"

namespace foreplan {

/// A step of a flat network on the ranks of dp that each layer shares as it suits it: data parallelism up to
/// some layer, tensor parallelism from there on (Strategy::split_from).
///
///   forward of the layers before, on own samples; all-gather: every device has all samples;
///   forward and backward of the layers behind, cut by columns and rows;
///   reduce-scatter of the gradient, so that each has that of its own samples; backward of the layers before
///
/// for each micro-batch of devices * b samples; gradients of the layers before are then all-reduced, in
/// buckets beside the last backward, those of the layers behind are where they belong. Convolutions have few
/// weights and many activations, wide linear layers the opposite, so networks that end in such layers gain.
/// With every layer before it is data parallelism, with none tensor parallelism (FoldedStep's, to the
/// picosecond).
///
/// Priced as FoldedStep prices: units op by op, exchanges in closed form; no recomputation, no pipeline.
/// Source: Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997, 2014,
/// section 4, scheme (a).
class LayerSplit {
 public:
  /// Lowers the layers as data parallelism has them. Model and cluster of the task must outlive it.
  /// @param strategy  dp, the micro-batch b of a device, split_from
  /// @throws Error(invalid_argument) if the network is made of blocks, devices differ, they or the micro-batch
  ///   do not divide the batch, the strategy tells more, or split_from is not before a layer that is not the
  ///   first, or of one rank
  LayerSplit(const Task& task, const Strategy& strategy);

  /// The step that the strategy tells, as estimate(LayerId).
  Estimate estimate() const { return estimate(LayerId{strategy_.split_from}); }
  /// The same step as tasks of one device, which stands for all.
  FoldedGraph graph() const;

  /// The step with layers [0, from) shared by samples and [from, end) by features.
  /// @param from  stages may be cut before it, or the first layer, or the loss's successor: all by samples
  /// @throws Error(invalid_argument) naming the layer that the devices cannot share, or if more than one
  ///   tensor crosses before `from`
  Estimate estimate(LayerId from) const;

 private:
  /// A unit's work on one micro-batch.
  struct Unit {
    UnitWork work;
    UnitCost cost;
    std::optional<LayerTimes> measured{};
  };
  struct Times {
    Duration computing{}, exchanging{};  ///< of one micro-batch
    Duration backward{};                 ///< of the layers before
    std::vector<Duration> backwards;     ///< of each of them, in the order of backward
  };

  /// All of a step that starts to share by features from some layer on.
  struct Course {
    Times micro_batch;
    Duration pipeline{};  ///< all micro-batches
    Duration ready{};     ///< gradients are aggregated
    Duration update{};
    StageMemory memory;
  };

  Unit lowered(LayerId id, LayerId split_from) const;
  void price_unit(Unit& unit) const;
  void scatter_gradient(LayerId from, std::vector<Unit>& behind) const;
  Duration gathered(LayerId from) const;
  Course course(LayerId from) const;
  Times times(LayerId from, const std::vector<Unit>& behind) const;
  Duration aggregated(LayerId from, const Times& times, Duration finish) const;
  Duration update_time(std::int64_t parameters) const;
  StageMemory memory(LayerId from, const std::vector<Unit>& behind) const;
  std::int64_t parameters(LayerId from, const std::vector<Unit>& behind) const;

  const Task task_;
  Strategy strategy_;
  BatchSplit batch_;
  RankGroups data_, tensor_;
  std::vector<bool> cuts_;
  std::vector<Unit> before_;  ///< every layer, shared by samples
};

/// Where a network changes from convolutions to linear layers: the legal cuts behind which every product is
/// a linear layer, and there is one, in order.
/// @return  the first layer behind each; none for networks of blocks
std::vector<LayerId> split_places(const OpGraph& model);

/// Whether so many devices can share the layers from `from` on by features.
bool shares_from(const OpGraph& model, LayerId from, int devices);

}  // namespace foreplan
