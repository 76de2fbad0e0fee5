#pragma once

#include "tools/cuda_session.hpp"

extern "C" const foreplan::CudaPlugin* foreplan_cuda();
extern "C" const foreplan::CuptiPlugin* foreplan_cupti();

namespace foreplan {

/// The plugins' contents as they are linked into this program, real or emulated.
inline CudaHalf linked_half() { return {.cuda = *foreplan_cuda(), .cupti = *foreplan_cupti()}; }

}  // namespace foreplan
