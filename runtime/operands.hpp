#pragma once

#include <vector>

#include "sim/op.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// What an op needs to find at its operands, in the order of the table in models/op_cost.hpp.
struct OperandBytes {
  std::vector<Bytes> reads;
  std::vector<Bytes> writes;
};

/// The least size of every operand of `key`: its dtype's elements, but 4 bytes a number for labels,
/// statistics, losses and moments.
/// @throws Error(invalid_argument) naming the key if no kernel exists for its op and pass, if its shape has the wrong number of entries or one < 1, or if `parts` does not divide the columns
OperandBytes operand_bytes(const OpKey& key);

}  // namespace foreplan
