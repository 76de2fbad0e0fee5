#pragma once

#include <cstdint>

#include "models/op_graph.hpp"
#include "sim/op.hpp"

namespace foreplan {

/// The ops: what a compute task of each name does, what it reads and writes, in order, and what the
/// numbers of its shape mean. This table is the contract between the lowering, which writes such
/// tasks, and the kernels, which run them. Matrices are stored row by row; every `=` is `+=` where
/// the key says `accumulate`.
///
///     op [shape]           pass             reads                     writes
///     linear [m, k, n]     forward          x, W, b                   y = x W + b
///                          backward_input   dy, W                     dx = dy W^T
///                          backward_weight  x, dy                     dW = x^T dy, db = sum of dy rows
///     matmul [m, k, n]     as linear, without b and db
///     bias_add [m, n]      forward          x, b                      y = x + b (y may be x)
///                          backward_weight  dy                        db = sum of dy rows
///     relu [n]             forward          x                         y
///                          backward_input   y, dy                     dx
///     gelu [n]             forward          x                         y
///                          backward_input   x, dy                     dx
///     layer_norm [m, n]    forward          x, gain, shift            y, statistics
///                          backward_input   x, statistics, gain, dy   dx
///                          backward_weight  x, statistics, dy         dgain, dshift
///     rms_norm [m, n]      forward          x, gain                   y, scales
///                          backward_input   x, scales, gain, dy       dx
///                          backward_weight  x, scales, dy             dgain
///     softmax [m, n]       forward          x                         y
///                          backward_input   y, dy                     dx
///     embedding            forward          ids, table                y [m, n]
///       [m, vocabulary, n] backward_weight  ids, dy                   dtable
///     add [n]              forward          a, b                      y = a + b
///     accumulate [n]       forward          x                         y += x, always
///     copy [n]             forward          x                         y = x
///     gather_columns       forward          `parts` blocks [m, n/parts], one behind the other
///       [m, n, parts]                                                 y [m, n]
///                          backward_input   dy [m, n] from the first wanted column on
///                                                                     dx [m, n/parts]
///     softmax_cross_entropy forward         x, labels                 probabilities, loss
///       [m, n]             backward_input   probabilities, labels     dx = (p - onehot) / batch
///     sgd [n]              optimizer        gradient                  parameter, momentum
///     adam [n]             optimizer        gradient                  parameter, moment 1, moment 2
///
/// statistics: m means, then m reciprocal standard deviations. scales: m reciprocal root mean squares.
/// labels, ids: m times int32. loss: one number, the sum over the m rows divided by the global batch.
/// batch: the global batch. Operands are of the key's dtype; labels, ids, statistics, scales, loss,
/// momentum and moments are 4 bytes a number (int32, fp32) whatever it is.

/// The op with the FLOPs and the traffic that its key implies.
///
///   linear   forward          2 m k n + m n     backward_input  2 m k n
///            backward_weight  2 m k n + m n     matmul: each without the m n of the bias
///   an element of the others  bias_add 1, relu 1, gelu 5 and 11 (backward), layer_norm 7, 10 and 5,
///                             rms_norm 4, 8 and 3, softmax 5 and 4, embedding 0 and 1,
///                             add and accumulate 1, copy and gather_columns 0,
///                             softmax_cross_entropy 5 and 2, sgd 4, adam 14
///
/// Traffic: every operand of the table read once and every result written once, `element_size` an
/// element, 4 bytes for labels, ids, statistics, scales and moments; the optimizers read what they update; of an
/// embedding's table, a row a token is read. `accumulate` reads each
/// result once more, and adds one operation an element unless the result is a sum, which may as well
/// start from the old value. docs/models.md counts the operations one by one.
/// @throws Error(invalid_argument) if the name is unknown, the op has no such pass, the shape has
///   the wrong number of entries, an entry is < 1, there are over 2^53 elements, columns do not
///   divide into the parts, or an optimizer is to accumulate
Op make_op(OpKey key);

/// FLOPs and bytes of a layer for one sample, pass by pass: what `foreplan show` prints. A pass that
/// training does not need is zero: the gradient of the samples, and that of `add`, which is handed on
/// as it is.
struct LayerCost {
  std::int64_t parameters = 0;
  Flops forward, backward_input, backward_weight;
  Bytes forward_traffic, backward_input_traffic, backward_weight_traffic;
  Bytes activation;  ///< the output of the layer, one sample
};
LayerCost layer_cost(const OpGraph& graph, LayerId id, DType dtype);

}  // namespace foreplan
