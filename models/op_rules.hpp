#pragma once

#include <span>
#include <string_view>

#include "sim/op.hpp"

namespace foreplan {

/// What an op does when it overwrites its result. Whole numbers; as doubles, since products of sizes
/// may exceed 64 bits.
struct OpWork {
  double matrix = 0;       ///< FLOPs in matrix products
  double vector = 0;       ///< all other FLOPs
  double reads = 0;        ///< elements
  double writes = 0;       ///< elements
  double words = 0;        ///< numbers of 4 bytes whatever the dtype, read or written
  double octets = 0;       ///< numbers of 1 byte: masks
  bool reduction = false;  ///< sums that may start from the old result as well as from zero
};

/// A line of the table of ops.
struct OpRule {
  std::string_view op;
  Pass pass;
  std::string_view shape;  ///< names of its entries: "m, k, n"
  OpWork (*work)(std::span<const double> shape);
};

/// The table that models/op_cost.hpp describes.
std::span<const OpRule> op_rules();

}  // namespace foreplan
