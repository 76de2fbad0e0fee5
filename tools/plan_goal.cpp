#include "tools/plan_goal.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "sim/error.hpp"

namespace foreplan {
namespace {

Goal::Objective objective_named(const std::string& name) {
  if (name == "time") return Goal::Objective::time;
  if (name == "cost") return Goal::Objective::cost;
  if (name == "devices") return Goal::Objective::devices;
  reject(fmt::format("--objective: expected time, cost or devices, got '{}'", name));
}

std::optional<double> steps_of(const GoalOptions& options, const Task& task) {
  if (options.tokens && options.samples) reject("--samples: goes without --tokens");
  if (options.tokens) return steps_for_tokens(task, *options.tokens);
  if (options.samples) return steps_for_samples(task, *options.samples);
  return std::nullopt;
}

/// Powers of two, and the most.
std::vector<int> counts_up_to(int most) {
  std::vector<int> counts;
  for (int n = 1; n < most; n *= 2) counts.push_back(n);
  counts.push_back(most);
  return counts;
}

[[noreturn]] void too_slow(const Goal& goal, const Plan& plan) {
  const double best = *goal.steps * seconds(plan.best->step_time);
  const double asked = *goal.steps * seconds(goal.longest_step);
  throw Error(
      ErrorCode::infeasible,
      fmt::format("no plan meets the deadline: training takes {:.3g} h at best, {:.3g} h are "
                  "left",
                  best / 3600, asked / 3600));
}

}  // namespace

double deadline_s(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const bool unit = error == std::errc() && rest + 1 == end;
  const double factor = !unit          ? 0
                        : *rest == 's' ? 1
                        : *rest == 'h' ? 3600
                        : *rest == 'd' ? 86400
                                       : 0;
  if (factor == 0 || !std::isfinite(number) || number <= 0) {
    reject(fmt::format("--deadline: expected a time > 0 in s, h or d, as 30d, got '{}'", text));
  }
  return number * factor;
}

Goal goal_of(const GoalOptions& options, const Task& task) {
  Goal goal{.objective = objective_named(options.objective),
            .steps = steps_of(options, task),
            .price = options.price};
  if (options.price && !goal.steps) reject("--price-per-device-hour: needs --tokens or --samples");
  if (!options.deadline.empty()) {
    if (!goal.steps) reject("--deadline: needs --tokens or --samples");
    // A Duration holds 106 days.
    constexpr double kLongest = 9e6;
    const double step = deadline_s(options.deadline) / *goal.steps;
    if (step < kLongest) goal.longest_step = duration_from_seconds(step);
  } else if (goal.objective == Goal::Objective::devices) {
    reject("--objective devices: needs --deadline");
  }
  return goal;
}

SizedPlan plan_for(const Goal& goal, const PlanOn& plan_on, int most) {
  std::optional<SizedPlan> found;
  if (goal.objective == Goal::Objective::devices) {
    found = fewest_devices(plan_on, most, goal.longest_step);
  } else if (goal.objective == Goal::Objective::cost) {
    found = cheapest(plan_on, counts_up_to(most), goal.longest_step);
  }
  if (found) return std::move(*found);
  SizedPlan fastest{most, plan_on(most)};
  if (fastest.plan.best && fastest.plan.best->step_time > goal.longest_step) {
    too_slow(goal, fastest.plan);
  }
  return fastest;
}

std::optional<Explanation> explained(const GoalOptions& options, const Task& task, const Plan& plan,
                                     const Planning& planning) {
  constexpr double kMore = 1.2;
  if (!options.explain || !plan.best) return std::nullopt;
  Explanation why = explain(task, plan);
  why.sensitivities = sensitivities(task, plan, kMore, planning);
  return why;
}

}  // namespace foreplan
