#pragma once

#include "runtime/executor.hpp"

namespace foreplan {

/// Fills the persistent buffers of an executor's graph with what ops may work on before anything was
/// trained: small random numbers, as far from zeros and denormals as training's and finite in every
/// format; labels and ids spread over their classes; optimizer state stays zero, since Adam's second
/// moment must not be negative.
void fill(Executor& executor);

}  // namespace foreplan
