#include "sim/op.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace foreplan {
namespace {

constexpr std::array<std::string_view, 4> kPassNames = {"forward", "backward_input",
                                                        "backward_weight", "optimizer"};
constexpr std::array<std::string_view, 5> kDTypeNames = {"fp32", "tf32", "fp16", "bf16", "fp8"};
constexpr std::array<Bytes, 5> kElementSizes = {4_B, 4_B, 2_B, 2_B, 1_B};

template <typename Enum, std::size_t n>
std::optional<Enum> find_name(const std::array<std::string_view, n>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

}  // namespace

std::string_view name(Pass pass) { return kPassNames[static_cast<std::size_t>(pass)]; }

std::string_view name(DType dtype) { return kDTypeNames[static_cast<std::size_t>(dtype)]; }

std::optional<Pass> pass_named(std::string_view name) { return find_name<Pass>(kPassNames, name); }

std::optional<DType> dtype_named(std::string_view name) {
  return find_name<DType>(kDTypeNames, name);
}

Bytes element_size(DType dtype) { return kElementSizes[static_cast<std::size_t>(dtype)]; }

std::string format(const OpKey& key) {
  return fmt::format("{}.{}[{}] {}{}", key.op, name(key.pass), fmt::join(key.shape, "x"),
                     name(key.dtype), key.accumulate ? " +=" : "");
}

}  // namespace foreplan
