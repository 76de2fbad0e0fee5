#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace foreplan {

/// What ranks are counted along; each device has one rank of every dimension.
enum class Dimension : std::uint8_t { tp, cp, dp, pp };
inline constexpr std::array kDimensions{Dimension::tp, Dimension::cp, Dimension::dp, Dimension::pp};
std::string_view name(Dimension dimension);

/// Which ranks are neighbours: those of the first dimension lie side by side, those of the last farthest
/// apart. As Megatron-LM's --order, where experts are no dimension of their own (RankLayout).
struct RankOrder {
  std::array<Dimension, 4> dimensions = kDimensions;
  friend auto operator<=>(const RankOrder&, const RankOrder&) = default;
};

/// "tp-cp-dp-pp"
std::string format(const RankOrder& order);
/// @throws Error(invalid_argument) unless each of the four dimensions is named once
RankOrder parse_rank_order(std::string_view text);
/// @throws Error(invalid_argument) if a dimension stands twice
void check(const RankOrder& order);

}  // namespace foreplan
