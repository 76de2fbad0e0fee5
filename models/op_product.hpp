#pragma once

#include "sim/op.hpp"

namespace foreplan {

/// The matrix product that an op of the table in models/op_cost.hpp is; batch 0 for the others.
///
///   linear, matmul      [m, k, n]  forward  m x k by k x n        backward_input   m x n by n x k
///                                                                 backward_weight  k x m by m x n
///   batched_matmul, expert_linear: `batch` of them; an expert has m / experts rows
///   attention           queries x qk by qk x seen, one a head and sample
///   conv2d              as a product of unfolded images: rows samples out_height out_width, inner size
///                       in / groups kernel_height kernel_width, columns out / groups; backward_input: rows
///                       samples in_height in_width, inner size out / groups times the windows that read a point
/// linear and matmul are misaligned where features are no multiple of 16 bytes.
/// @pre the shape has the entries that make_op checks
/// Source of the last: Chellapilla, Puri and Simard, Int. Workshop on Frontiers in Handwriting
/// Recognition, 2006.
ProductShape product_shape(const OpKey& key);

}  // namespace foreplan
