#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/units.hpp"

namespace foreplan {

/// Which part of a training step a compute task belongs to.
enum class Pass : std::uint8_t { forward, backward_input, backward_weight, optimizer };

/// Number formats, as in `dtype` of a profile.
enum class DType : std::uint8_t { fp32, tf32, fp16, bf16, fp8 };

std::string_view name(Pass pass);
std::string_view name(DType dtype);
std::optional<Pass> pass_named(std::string_view name);
std::optional<DType> dtype_named(std::string_view name);
/// Size of one element [B].
Bytes element_size(DType dtype);

/// What a measurement of compute is filed under: an op, its pass, and the shape that it ran at.
///
/// The simulator only compares keys; what an op of that name does, and what the numbers of its
/// shape mean, is told in models/op_cost.hpp.
struct OpKey {
  std::string op;
  Pass pass = Pass::forward;
  std::vector<std::int64_t> shape{};
  DType dtype = DType::fp32;
  bool accumulate = false;  ///< adds to its result instead of overwriting it
  friend auto operator<=>(const OpKey&, const OpKey&) = default;
};

/// "linear.backward_weight[128x784x128] fp32 +=", for messages and tables.
std::string format(const OpKey& key);

/// `batch` products of an m x k by a k x n matrix; batch 0: none.
struct ProductShape {
  std::int64_t batch = 0, m = 0, n = 0, k = 0;
  bool misaligned = false;  ///< some row of an operand does not begin on a multiple of 16 bytes
};

/// An op at a shape, with the least work that any implementation of it must do.
struct Op {
  OpKey key;
  Flops flops{};                    ///< arithmetic
  Bytes traffic{};                  ///< each input read once and each output written once
  std::optional<Duration> given{};  ///< a duration that the author of the graph fixed
  Flops matrix{};                   ///< of `flops`, those in matrix products
  ProductShape product{};           ///< of `matrix`; of attention: queries by keys
  bool fused_scores = false;        ///< attention that keeps its scores to itself
  int attention_generation = 0;     ///< of FlashAttention's kernels; 0: the device's newest
  double executed = 1;  ///< share of `matrix` that is done: a kernel may skip what a mask hides
  double launches = 1;  ///< kernels
};

}  // namespace foreplan
