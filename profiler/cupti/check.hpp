#pragma once

#include <cupti.h>

namespace foreplan {

/// Throws where a call of CUPTI did not return CUPTI_SUCCESS.
/// @throws Error(unavailable) if another profiler holds CUPTI or the driver forbids profiling, saying
///   so; Error(failed) otherwise
void check(CUptiResult status, const char* call);

}  // namespace foreplan
