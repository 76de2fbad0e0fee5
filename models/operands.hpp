#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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

/// The operand of an op that holds whole numbers from 0: ids of an embedding, labels of a loss.
struct LabelOperand {
  std::size_t read = 0;      ///< its place among the reads
  std::int64_t classes = 0;  ///< all of them are below this
};
/// @return  empty: the op reads none
std::optional<LabelOperand> label_operand(const OpKey& key);

}  // namespace foreplan
