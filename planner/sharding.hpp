#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"

namespace foreplan {

/// How tensor-parallel ranks share a layer.
enum class Sharding : std::uint8_t {
  replicated,     ///< each rank does all of it
  column,         ///< linear: W by columns; the output stays cut by columns
  row,            ///< linear: W by rows; partial outputs are added by an all-reduce
  column_gather,  ///< linear: W by columns; the output is put together by an all-gather
  split,          ///< element by element on the rank's columns
};

/// Whether the output of a layer so shared lies cut by columns, a part a rank.
constexpr bool output_is_split(Sharding sharding) {
  return sharding == Sharding::column || sharding == Sharding::split;
}

/// The sharding of every layer under `tp` ranks.
///
/// A linear layer whose output reaches one other linear layer through element-wise layers only is cut
/// by columns and that other by rows, so that the pair needs one all-reduce forward and one backward;
/// a linear layer without such a partner is cut by columns and gathered. With tp = 1 all is
/// replicated. Source: Shoeybi et al., Megatron-LM, arXiv:1909.08053, section 3.
/// @throws Error(invalid_argument) naming the first layer whose width tp does not divide
std::vector<Sharding> shard(const OpGraph& model, int tp);

/// Where in its whole tensor the part of a tensor-parallel rank lies.
struct ParameterShard {
  std::int64_t row = 0, rows = 0;
  std::int64_t column = 0, columns = 0;
  std::int64_t elements() const { return rows * columns; }
};

/// The part of `parameter` that rank `t` of `tp` holds when its layer is cut as `sharding` says.
ParameterShard parameter_shard(const Parameter& parameter, Sharding sharding, int tp, int t);

}  // namespace foreplan
