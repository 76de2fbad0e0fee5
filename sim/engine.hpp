#pragma once

#include "sim/simulate.hpp"

namespace foreplan {

/// The event-driven half of `simulate`, for costs that it has checked.
///
/// Only flows and shared processors need a clock: when a task without one starts is known as soon as all that it waits for
/// is done, and no decision hangs on it. So events are the first and the last byte of each flow. At
/// each instant all flows that end leave, all that begin enter, and then the rates are solved once.
/// A flow's last byte is due at the picosecond nearest to where its present rate takes it.
SimulationResult run_events(const TaskGraph& graph, const Costs& costs, const Cluster& cluster);

}  // namespace foreplan
