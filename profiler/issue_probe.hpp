#pragma once

#include <optional>

#include "profiler/session.hpp"
#include "sim/profile.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// `triples` times three small tasks on three streams of one device, the second and, with
/// `consumers` = 2, the third behind the first; with 0, nobody behind anybody.
///
/// Of 3 t tasks, t are recorded where there are consumers, and consumers x t waits are issued.
TaskGraph issue_graph(int triples, int consumers);

/// A graph of `tasks` small tasks in one stream, each behind the other, after a first one that works on
/// `head_start` bytes, so that whoever hands out tasks is ahead of the device: what lies between two
/// of them is the device's own.
TaskGraph dependent_graph(int tasks, Bytes head_start);

/// What it costs the one thread that hands out work to hand out a task, the record of an event and a
/// wait for one.
///
/// From the time that three graphs took to be handed out, per triple of tasks:
///
///   I_0 = 3 task,   I_1 = 3 task + record + wait,   I_2 = 3 task + record + 2 wait
///
/// Each sample is one step; differences are of a step each, not below zero.
/// @return  empty: the session does not tell how long it took (MeasuredStep::issued)
std::optional<IssueSamples> measure_issue(Session& session, int steps);

}  // namespace foreplan
