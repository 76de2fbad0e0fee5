#pragma once

#include <chrono>

#include "sim/units.hpp"

namespace foreplan {

/// The clock of the thread that hands out work, from some instant on. An emulation has its own.
inline Duration host_now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace foreplan
