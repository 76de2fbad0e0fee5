#pragma once

#include <array>

#include "planner/strategy.hpp"
#include "sim/group_placement.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// A rank of each dimension.
struct RankAt {
  int tp = 0, cp = 0, dp = 0, pp = 0;
};

/// A group of ranks: of those that `dimensions` span, counted innermost first, every `step`-th, `size` of
/// them from the first on. Dimensions that follow each other without a gap are one.
struct RankGroup {
  std::array<GroupShape, 3> dimensions{};
  int count = 0;  ///< of dimensions
  int size = 1, step = 1;

  /// Of the group that the first device belongs to, its i-th.
  int device(int i) const;
  /// Ranks of each group of the kind on each node of so many devices; 1 where they do not fill nodes evenly.
  int on_node(int devices) const;
};

/// Which device does what of a strategy; nothing else knows.
///
/// The device of ranks x_i is sum of x_i stride_i, the stride of a dimension being the product of the sizes of
/// those before it in Strategy::order. In the usual order, of tensor rank t, context rank c, data rank d and
/// stage s:
///
///   t + tp (c + cp (d + dp s))
///
/// Expert groups are neighbours among the ranks of cp and dp, in the order of these, each rank with its tp-th
/// of its experts; where ep does not divide these, among those of tp, cp and dp, with whole experts.
class RankLayout {
 public:
  explicit RankLayout(const Strategy& strategy);

  int size(Dimension dimension) const { return size_[static_cast<std::size_t>(dimension)]; }
  int stride(Dimension dimension) const { return stride_[static_cast<std::size_t>(dimension)]; }
  int devices() const { return size_[0] * size_[1] * size_[2] * size_[3]; }
  DeviceId device(const RankAt& rank) const {
    return DeviceId{rank.tp * stride_[0] + rank.cp * stride_[1] + rank.dp * stride_[2] +
                    rank.pp * stride_[3]};
  }

  RankGroup tensor() const { return spanned({true, false, false}); }
  RankGroup context() const { return spanned({false, true, false}); }
  RankGroup data() const { return spanned({false, true, true}); }  ///< the same parameters
  RankGroup expert() const;
  RankGroup expert_data() const;  ///< the same experts

 private:
  /// All ranks of those of tp, cp and dp that are asked for.
  RankGroup spanned(const std::array<bool, 3>& asked) const;
  RankGroup dealt() const { return spanned({whole_experts_, true, true}); }

  RankOrder order_;
  std::array<int, 4> size_{}, stride_{};
  int experts_ = 1;
  bool whole_experts_ = false;
};

/// Where the groups of a layout lie on nodes that are alike, as far as times hang on it: layouts of the same
/// sizes and places are forecast alike.
struct RankPlaces {
  /// Ranks of a group on each node.
  int tensor = 1, context = 1, expert = 1, data = 1, expert_data = 1;
  /// From a stage to the next [devices]: 0 where all stages of a pipeline lie in one node, the devices of a
  /// node where no two do.
  int stage_stride = 0;
  /// From a pipeline to the one behind it [devices], where they lie differently in their nodes; else 0.
  int pipeline_stride = 0;
  friend auto operator<=>(const RankPlaces&, const RankPlaces&) = default;

  /// Whether all ranks of two stages that belong together share a node.
  bool together(int a, int b, int node_devices) const;
};
RankPlaces places_of(const RankLayout& layout, int node_devices);

}  // namespace foreplan
