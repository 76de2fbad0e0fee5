#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planner/scaled_task.hpp"
#include "planner/search.hpp"

namespace foreplan {

/// A part of a step, in the mean over devices.
struct TimePart {
  std::string_view what;
  Duration time{};
  double share = 0;  ///< of the step
};

/// Compute, optimizer, exposed communication and bubble: the longest first, of equals in this order.
std::vector<TimePart> time_parts(const Estimate& step);

/// How full the fullest stage's device is.
struct MemoryUse {
  int stage = 0;
  Bytes peak{};  ///< with what a process takes beside tensors
  Bytes room{};  ///< of the smallest device
};
MemoryUse memory_use(const Task& task, const Estimate& step);

/// The keys in which `other` differs from `strategy`, as "tp=8" of `other`; a key that `other` leaves at its
/// default stands with that. Layers are told if nothing else differs.
std::vector<std::string> differences(const Strategy& strategy, const Strategy& other);

/// How the runner-up falls behind.
struct RunnerUp {
  Estimate step;
  double slower = 0;                 ///< its step over the best's, minus 1
  std::vector<std::string> differs;  ///< as differences() tells
  /// What its parts take more than the best's, or less: the largest change first, of equals as time_parts().
  std::vector<TimePart> more;
};

/// What would come of more of something.
struct Sensitivity {
  std::string_view what;
  double factor = 1;
  double gain_kept = 0;            ///< of the same plan: old step over new, minus 1
  double gain = 0;                 ///< planned anew; at least that
  std::optional<Estimate> best{};  ///< planned anew
  bool changes_plan = false;       ///< to another strategy
};

struct Explanation {
  std::vector<TimePart> parts;
  Limit limit = Limit::compute;
  MemoryUse memory;
  std::optional<RunnerUp> runner_up;  ///< empty: there is no other that fits
  std::vector<Sensitivity> sensitivities;
};

/// Why a plan is as it is, without asking what would be.
/// @throws Error(invalid_argument) if the plan is empty
Explanation explain(const Task& task, const Plan& plan);

/// Plans a task.
using Planning = std::function<Plan(const Task& task)>;

/// What `factor` times the link bandwidth, device memory and compute would bring, in this order: everything is
/// planned anew.
/// @throws Error(invalid_argument) if the plan is empty, or the factor is not > 0
std::vector<Sensitivity> sensitivities(const Task& task, const Plan& plan, double factor,
                                       const Planning& planning);

}  // namespace foreplan
