#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"
#include "planner/sharding.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// How much gradient is aggregated in one go.
///
/// The first bucket, filled by the last layers, is small so that aggregation starts early. Source of
/// the defaults: Li et al., PyTorch Distributed, VLDB 13(12), 2020, and PyTorch's own.
struct BucketSizes {
  Bytes first{1 << 20};
  Bytes others{25 << 20};
};

/// Where a device keeps its part of one parameter (and its gradient and optimizer state alike).
struct ParameterPlace {
  std::int32_t tensor = 0;  ///< into OpGraph::parameters()
  int bucket = 0;
  Bytes offset;  ///< in the bucket
  ParameterShard shard;
};

/// The parameters of one device in buckets, last layer first: in the order in which backward finishes
/// their gradients.
struct ParameterLayout {
  std::vector<Bytes> buckets;
  std::vector<ParameterPlace> places;  ///< by tensor, ascending
};

/// Layers [first, last).
using LayerRange = std::pair<int, int>;

/// The layout of tensor-parallel rank `t` of `tp` for the layers of `ranges`.
///
/// A bucket is closed by the tensor that fills it. Inside a bucket tensors of whole cache lines come
/// first, so that these start on a line. fp32.
ParameterLayout layout_parameters(const OpGraph& model, const std::vector<Sharding>& shardings,
                                  const std::vector<LayerRange>& ranges,
                                  std::pair<int, int> tp_and_rank, const BucketSizes& sizes);

}  // namespace foreplan
