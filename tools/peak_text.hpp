#pragma once

#include <string>

#include "tools/forecast.hpp"

namespace foreplan {

/// Two lines on the fullest device (ties: the first): when its peak is reached and by what task, what
/// a caching allocator reserves where that is known, and what
/// holds it, largest first: buffers of one category and layer or stage together, with their
/// micro-batches; at most `kGroupsTold` of them, then how much is left.
std::string describe_peak(const Forecast& forecast);
inline constexpr std::size_t kGroupsTold = 6;

}  // namespace foreplan
