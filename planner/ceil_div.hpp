#pragma once

#include <cstdint>

namespace foreplan {

/// What each of `parts` gets of `whole` at most: the quotient, rounded up.
constexpr std::int64_t ceil_div(std::int64_t whole, std::int64_t parts) {
  return (whole + parts - 1) / parts;
}

}  // namespace foreplan
