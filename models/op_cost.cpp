#include "models/op_cost.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "models/op_product.hpp"
#include "models/op_rules.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Above this many elements a double no longer counts each one.
constexpr double kMostElements = 9007199254740992.0;  // 2^53

const OpRule& rule_of(const OpKey& key) {
  bool known = false;
  for (const OpRule& rule : op_rules()) {
    if (rule.op != key.op) continue;
    if (rule.pass == key.pass) return rule;
    known = true;
  }
  if (!known) reject(fmt::format("unknown op '{}'", key.op));
  reject(fmt::format("op {} has no pass {}", key.op, name(key.pass)));
}

std::vector<double> sizes_of(const OpKey& key, const OpRule& rule) {
  const auto entries =
      static_cast<std::size_t>(1 + std::count(rule.shape.begin(), rule.shape.end(), ','));
  if (key.shape.size() != entries) {
    reject(fmt::format("op {}.{}: expected a shape [{}], got [{}]", key.op, name(key.pass),
                       rule.shape, fmt::join(key.shape, ", ")));
  }
  for (const std::int64_t entry : key.shape) {
    if (entry < 1) {
      reject(fmt::format("op {}.{}: expected positive entries in the shape [{}], got [{}]", key.op,
                         name(key.pass), rule.shape, fmt::join(key.shape, ", ")));
    }
  }
  return {key.shape.begin(), key.shape.end()};
}

void check_special(const OpKey& key) {
  if (key.op == "gather_columns" && key.shape[1] % key.shape[2] != 0) {
    reject(fmt::format("op gather_columns: {} columns do not divide into {} parts", key.shape[1],
                       key.shape[2]));
  }
  if (key.accumulate && key.pass == Pass::optimizer) {
    reject(fmt::format("op {}.optimizer does not accumulate", key.op));
  }
}

/// Adds what `+=` costs over `=`: the old result is read, and added unless a sum starts from it.
void accumulate(OpWork& work) {
  work.reads += work.writes;
  if (!work.reduction) work.vector += work.writes;
}

}  // namespace

Op make_op(OpKey key) {
  const OpRule& rule = rule_of(key);
  const std::vector<double> sizes = sizes_of(key, rule);
  check_special(key);
  OpWork work = rule.work(sizes);
  if (key.accumulate && key.op != "accumulate") accumulate(work);
  const double elements = work.reads + work.writes + work.words + work.octets;
  if (elements > kMostElements) {
    reject(fmt::format("op {}.{}: the shape [{}] is too large to count", key.op, name(key.pass),
                       fmt::join(key.shape, ", ")));
  }
  // Products of fp8 are written in 16 bits.
  const bool narrow = key.dtype == DType::fp8 && work.matrix > 0;
  const Bytes traffic =
      static_cast<std::int64_t>(work.reads) * element_size(key.dtype) +
      static_cast<std::int64_t>(work.writes) * element_size(narrow ? DType::bf16 : key.dtype) +
      static_cast<std::int64_t>(work.words) * Bytes{sizeof(std::int32_t)} +
      Bytes{static_cast<std::int64_t>(work.octets)};
  const ProductShape product = product_shape(key);
  const bool fused = key.op == "attention" || key.op == "causal_attention";
  return {.key = std::move(key),
          .flops = {work.matrix + work.vector},
          .traffic = traffic,
          .matrix = {work.matrix},
          .product = product,
          .fused_scores = fused};
}

}  // namespace foreplan
