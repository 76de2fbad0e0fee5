#pragma once

#include <chrono>

#include "sim/units.hpp"
#include "tests/cuda_emulation/streams.hpp"

// In place of runtime/cuda/host_clock.hpp: the emulation's time is virtual.
namespace foreplan {

inline Duration host_now() { return std::chrono::nanoseconds(emulation::now_ns()); }

}  // namespace foreplan
