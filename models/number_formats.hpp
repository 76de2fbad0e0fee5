#pragma once

#include <optional>

#include "sim/op.hpp"

namespace foreplan {

/// The number formats of a training: of what is stored, and of what learned products multiply.
///
///   fp8    bf16 is stored (parameters, activations, gradients of both, what ranks exchange) and used for all
///          else; the products of linear layers inside blocks multiply fp8 and write bf16
///   tf32   fp32 is stored; all products multiply tf32
///   fp32, fp16, bf16   one format for both
///
/// Source: Micikevicius et al., FP8 Formats for Deep Learning, arXiv:2209.05433, section 3; Transformer Engine
/// user guide, Using FP8 with Transformer Engine: linear layers alone, attention and the head in bf16.
struct NumberFormats {
  DType storage = DType::fp32;
  std::optional<DType> products{};  ///< empty: `storage`

  DType of_products() const { return products.value_or(storage); }
};

/// What training "in `precision`" stores and multiplies.
constexpr NumberFormats formats_of(DType precision) {
  if (precision == DType::fp8) return {.storage = DType::bf16, .products = DType::fp8};
  if (precision == DType::tf32) return {.storage = DType::fp32, .products = DType::tf32};
  return {.storage = precision};
}

}  // namespace foreplan
