#pragma once

#include <cstdint>
#include <vector>

#include "sim/op.hpp"

namespace foreplan {

/// How much of the grid is measured.
enum class GridSize : std::uint8_t {
  whole,
  quick,  ///< two networks, tp 1 and 4: for a look
  tiny,   ///< a handful of small ones: for tests
};

/// Matrix products ("linear", all three passes) of one number format, each once.
///
/// With tokens T, hidden size h, tp t and vocabulary V, the products [m, k, n] of a transformer's layer
/// (Shoeybi et al., Megatron-LM, 2019):
///
///     attention in   [T, h, 3h/t]      attention out  [T, h/t, h]
///     MLP in         [T, h, 4h/t]      MLP out        [T, 4h/t, h]      head [T, h, V/t]
///
/// for h of GPT-3 at 125M, 350M, 1.3B, 2.7B, 6.7B and 13B (Brown et al., 2020, table 2.1), OPT-30B
/// (Zhang et al., 2022, table 1) and Llama 2 70B (Touvron et al., 2023), t in 1, 2, 4, 8, T in 2048 and
/// 8192 (fp32 and tf32: 2048); and the products of small MLPs.
std::vector<OpKey> product_grid(DType dtype, GridSize size);

/// What else networks do, by format: norms, softmax, embedding, element-wise ops, loss, and in fp32 the
/// optimizers; forward and backward.
std::vector<OpKey> other_grid(DType dtype, GridSize size);

/// The formats that the grid has: fp32, tf32, fp16, bf16.
std::vector<DType> grid_dtypes();

}  // namespace foreplan
