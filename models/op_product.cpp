#include "models/op_product.hpp"

namespace foreplan {
namespace {

/// Loads of tensor cores are of 16 bytes.
bool misaligned(const OpKey& key, std::int64_t in, std::int64_t out) {
  const std::int64_t numbers = 16 / element_size(key.dtype).count;
  return in % numbers != 0 || out % numbers != 0;
}

/// x (m x k) times W (k x n), or a gradient of it.
ProductShape passed(Pass pass, const ProductShape& p) {
  switch (pass) {
    case Pass::backward_input:
      return {.batch = p.batch, .m = p.m, .n = p.k, .k = p.n, .misaligned = p.misaligned};
    case Pass::backward_weight:
      return {.batch = p.batch, .m = p.k, .n = p.n, .k = p.m, .misaligned = p.misaligned};
    default:
      return p;
  }
}

/// conv2d [samples, in_height, in_width, in, out_height, out_width, out, kernel_h, kernel_w, groups].
ProductShape convolution(const OpKey& key) {
  const std::vector<std::int64_t>& s = key.shape;
  const std::int64_t groups = s[9], window = s[7] * s[8];
  const std::int64_t in = s[3] / groups, out = s[6] / groups;
  if (key.pass == Pass::backward_input) {
    const std::int64_t points = s[1] * s[2], read = out * window * s[4] * s[5];
    return {.batch = groups, .m = s[0] * points, .n = in, .k = (read + points - 1) / points};
  }
  return passed(key.pass, {.batch = groups, .m = s[0] * s[4] * s[5], .n = out, .k = in * window});
}

}  // namespace

ProductShape product_shape(const OpKey& key) {
  const std::vector<std::int64_t>& s = key.shape;
  if (key.op == "linear" || key.op == "matmul") {
    return passed(
        key.pass,
        {.batch = 1, .m = s[0], .n = s[2], .k = s[1], .misaligned = misaligned(key, s[1], s[2])});
  }
  if (key.op == "batched_matmul") {
    return passed(key.pass, {.batch = s[0],
                             .m = s[1],
                             .n = s[3],
                             .k = s[2],
                             .misaligned = misaligned(key, s[2], s[3])});
  }
  if (key.op == "expert_linear") {
    const std::int64_t rows = (s[1] + s[0] - 1) / s[0];
    return passed(key.pass, {.batch = s[0], .m = rows, .n = s[3], .k = s[2]});
  }
  if (key.op == "attention" || key.op == "causal_attention") {
    return {.batch = s[0] * s[1], .m = s[3], .n = s[5], .k = s[6]};
  }
  return key.op == "conv2d" ? convolution(key) : ProductShape{};
}

}  // namespace foreplan
