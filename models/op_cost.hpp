#pragma once

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
///     batched_matmul       as matmul, `batch` products of matrices of their own
///       [batch, m, k, n]
///     expert_linear        as matmul; the m rows are sorted by expert, each expert has a W
///       [experts, m, k, n]
///     gelu_tanh, silu,     as gelu
///       relu_squared [n]
///     tanh [n]             as relu
///     gated_silu,          forward          gate, up                  y = act(gate) * up
///       gated_gelu [n]     backward_input   gate, up, dy              dgate, dup
///     dropout [n]          forward          x                         y, mask
///                          backward_input   mask, dy                  dx
///     rotary [n]           forward          x                         y
///                          backward_input   dy                        dx
///     batch_norm [m, n]    as layer_norm; the statistics are of the n columns
///     position_embedding   forward          x, table                  y = x + table[position]
///       [m, rows, n]       backward_weight  dy                        dtable
///     class_token          forward          x, token                  y, a row more a sample
///       [samples, rows, n] backward_input   dy                        dx
///                          backward_weight  dy                        dtoken
///     select               forward          x                         y, the first row of each sample
///       [samples, rows, n] backward_input   dy                        dx
///     attention,           forward          q, k, v                   y, logsumexp of each row
///       causal_attention   backward_input   q, k, v, y, logsumexp, dy dq, dk, dv
///       [samples, heads, kv_heads, queries, keys, seen, qk, v]
///     conv2d [10 sizes]    as matmul
///     max_pool,            forward          x                         y, index
///       average_pool       backward_input   dy, index                 dx
///       [in, out, window]
///     top_k                forward          scores                    weights, indices
///       [m, experts, k]    backward_input   weights, dweights         dscores
///     dispatch [m, k, n]   forward          x, indices                y, each row k times
///                          backward_input   dy, indices               dx
///     combine [m, k, n]    forward          x, weights, indices       y
///                          backward_input   x, weights, dy            dx, dweights
///     add [n]              forward          a, b                      y = a + b
///     accumulate [n]       forward          x                         y += x, always
///     copy [n]             forward          x                         y = x
///     cast [n]             forward          x                         y, fp8, by rows and by columns
///     gather_columns       forward          `parts` blocks [m, n/parts], one behind the other
///       [m, n, parts]                                                 y [m, n]
///                          backward_input   dy [m, n] from the first wanted column on
///                                                                     dx [m, n/parts]
///     softmax_cross_entropy forward         x, labels                 probabilities, loss
///       [m, n]             backward_input   probabilities, labels     dx = (p - onehot) / batch
///     sgd [n]              optimizer        gradient                  parameter, momentum
///     adam [n]             optimizer        gradient                  parameter, moment 1, moment 2
///     sgd_master,          as sgd and adam, gradient and master copy of the parameter in fp32
///       adam_master [n]
///     square_sum [n]       optimizer        gradient, fp32            the sum of its squares
///
/// statistics: m means, then m reciprocal standard deviations. scales: m reciprocal root mean squares.
/// cast: one number of 1 byte for products that go along rows, one for those along columns.
/// labels, ids: m times int32. loss: one number, the sum over the m rows divided by the global batch.
/// batch: the global batch. Operands are of the key's dtype; labels, ids, statistics, scales, loss,
/// logsumexp, indices, momentum and moments are 4 bytes a number (int32, fp32) whatever it is, a mask is 1.
/// attention: `seen` of the `keys` are looked at by each of the `queries`; causal attention counts them in
/// full, as is the custom, though a kernel may skip those that lie behind (half of them).

/// The op with the FLOPs and the traffic that its key implies.
///
///   linear   forward          2 m k n + m n     backward_input  2 m k n
///            backward_weight  2 m k n + m n     matmul: each without the m n of the bias
///   an element of the others  bias_add 1, relu 1, gelu 5 and 11 (backward), layer_norm 7, 10 and 5,
///                             rms_norm 4, 8 and 3, softmax 5 and 4, embedding 0 and 1,
///                             add and accumulate 1, copy and gather_columns 0, cast 2,
///                             softmax_cross_entropy 5 and 2, sgd 4, adam 14, gelu_tanh 9 and 18,
///                             silu 4 and 9, tanh 1 and 3, gated_silu 5 and 12, gated_gelu 10 and 21,
///                             relu_squared 2 and 3, rotary 3, dropout 2, batch_norm as layer_norm
///   attention: 2 scores (qk + v) in products forward, twice that backward (without computing the scores
///   anew), and 5 and 4 a score for the softmax; scores = samples heads queries seen
///
/// Traffic: every operand of the table read once and every result written once, `element_size` an
/// element (what products of fp8 write: that of bf16), 4 bytes for labels, ids, statistics, scales and moments; the optimizers read what they update; of an
/// embedding's table, a row a token is read. `accumulate` reads each
/// result once more, and adds one operation an element unless the result is a sum, which may as well
/// start from the old value. docs/models.md counts the operations one by one.
/// @throws Error(invalid_argument) if the name is unknown, the op has no such pass, the shape has
///   the wrong number of entries, an entry is < 1, there are over 2^53 elements, columns do not
///   divide into the parts, or an optimizer is to accumulate
Op make_op(OpKey key);

}  // namespace foreplan
