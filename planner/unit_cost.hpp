#pragma once

#include <optional>
#include <vector>

#include "models/stack.hpp"
#include "planner/unit_work.hpp"
#include "sim/cost_model.hpp"

namespace foreplan {

/// With what units are priced.
struct Pricing {
  const CostModel& costs;
  const DeviceSpec& spec;
  const Stack& stack;
  int context_ranks = 1;
  int tensor_ranks = 1;  ///< with sequence parallelism; 1 without
  Recompute recompute = Recompute::none;
  double slowdown = 1;  ///< of this device's compute
  /// The unit measured whole, instead of its ops.
  std::optional<LayerTimes> measured{};
};

/// What a unit costs a rank for one micro-batch. Exchanges: what no compute hides.
struct UnitCost {
  Duration forward{}, backward_input{}, backward_weight{};
  Duration recompute{};  ///< forward again, before backward
  Duration forward_exchange{}, backward_exchange{}, recompute_exchange{};

  Duration whole_forward() const { return forward + forward_exchange; }
  /// All that the gradient of the unit's input waits for.
  Duration whole_backward_input() const {
    return recompute + recompute_exchange + backward_input + backward_exchange;
  }
};

/// The sum over the unit's ops, each with the launch that separates it from the next, and its exchanges:
///
///   exposed = time_beside(exchange, what it may run beside)
///
/// Where a thread hands out the kernels (Stack::host_launch), a pass takes as long as that at least:
///
///   forward = max(kernels and exchanges, their number times host_launch), and backward likewise
///             their sum where it waits for each kernel (HostPace::waits)
///
/// where it runs ahead of the device. Where it does not, kernel i ends at
///
///   end(i) = max(end(i - 1), launches up to i times host_launch) + time(i)
///
/// Products of 16 bits and less that keep a device busy run at the clock that its power limit allows
/// (CostModel::product_slowdown), by the share of the unit's time that they take.
///
/// Beside: attention, for rings of keys and values (all but the first of their cp steps); the gradients
/// of the weights, for tensor-parallel exchanges before columns backward, where the stack overlaps them. Where it
/// pipelines tensor parallelism, the others go in tp parts, each beside the products (forward, or the gradients of
/// the input) of another part: E/tp stays exposed, the rest as far as it outlasts (tp-1)/tp of the products; their
/// copies hold no multiprocessors.
///
/// Rows on their way to experts and back (overlap_experts): forward beside what another micro-batch computes backward,
/// backward beside what it computes forward, shared evenly among the exchanges of the pass.
///
/// A unit that was measured whole takes what was measured, of which each of its layers, and backward of each the
/// gradients of the weights, take the share that their matrix FLOPs are. No host holds it up beyond that.
UnitCost price(const UnitWork& work, const Pricing& pricing);

}  // namespace foreplan
