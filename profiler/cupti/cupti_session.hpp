#pragma once

#include <memory>

#include "profiler/activity_session.hpp"

namespace foreplan {

/// Size of a buffer that CUPTI fills: 8 MiB, some 40,000 records. Full ones are read at once, on the
/// thread that CUPTI calls back on, and used again.
inline constexpr std::size_t kActivityBufferBytes = std::size_t{8} << 20;

/// CUPTI's Activity API for this process: kernels, copies, peer copies, memsets, synchronisation and
/// overhead. There can be one at a time, since CUPTI's callbacks know no user.
/// @throws Error(unavailable) if there is one already, another profiler holds CUPTI, or the driver
///   forbids profiling
std::unique_ptr<ActivitySession> open_cupti_session();

}  // namespace foreplan
