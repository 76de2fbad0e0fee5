#pragma once

#include "sim/cost_model.hpp"
#include "sim/units.hpp"

namespace foreplan {

/// By how much an exchange of time E delays compute of time W that may run beside it.
///
/// Both run together until the first is done, E at 1/b and W at 1/a of its speed (`overlap`):
///   together = min(b E, a W)        delay = together + (E - together/b) + (W - together/a) - W
/// Without a slow-down max(0, E - W).
Duration time_beside(Duration exchange, Duration compute, const CostModel::Overlap& overlap);

/// Two lanes where they meet: one computes, on the wire a queue of exchanges.
struct Lanes {
  Duration computed{};  ///< when compute is done
  Duration wire{};      ///< when the queue is
};

/// Compute of `time` from `start` on, beside a wire that is busy until `wire`: as long as both run each is
/// slower by its factor.
Lanes compute_beside(Duration start, Duration time, Duration wire,
                     const CostModel::Overlap& overlap);

}  // namespace foreplan
