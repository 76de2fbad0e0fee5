#pragma once

#include <cstddef>
#include <vector>

#include "profiler/activity.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// The number that a task's calls carry: 0 is for what belongs to none.
constexpr std::uint64_t external_of(TaskId task) { return index(task) + 1; }

/// What a step's activities say of its tasks.
///
/// A task starts with the first of its kernels, copies and memsets and finishes with the last; the
/// earliest start of all is zero. Its share of the multiprocessors is the mean over its kernels,
/// weighed by their time; its launches are all of them. Activities that carry no number are left out, as are synchronisation and
/// overhead. A task without activities starts and finishes at zero.
/// @param limits  by GPU
/// @throws Error(failed) if an activity carries a number of no task, its GPU is none of `limits`, or it
///   ends before it starts
MeasuredStep correlate(const std::vector<Activity>& activities, std::size_t tasks,
                       const std::vector<MultiprocessorLimits>& limits);

}  // namespace foreplan
