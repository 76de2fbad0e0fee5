#pragma once

#include <cstdint>
#include <string_view>

namespace foreplan {

/// What turns gradients into new weights.
enum class Optimizer : std::uint8_t { sgd, adam };

/// As the op of the update is called: "sgd", "adam".
std::string_view name(Optimizer optimizer);
/// @throws Error(invalid_argument) unless "sgd" or "adam"
Optimizer optimizer_named(std::string_view name);

/// How many numbers an optimizer keeps for each parameter: sgd: momentum; adam: both moments.
constexpr int state_tensors(Optimizer optimizer) { return optimizer == Optimizer::sgd ? 1 : 2; }

}  // namespace foreplan
