#include "planner/objective.hpp"

#include <fmt/format.h>

#include <cmath>

#include "sim/error.hpp"

namespace foreplan {
namespace {

double steps_for(double amount, double each_step, const char* what) {
  if (!std::isfinite(amount) || amount <= 0) {
    reject(fmt::format("{}: expected a number > 0, got {}", what, amount));
  }
  return std::ceil(amount / each_step);
}

bool fast_enough(const Plan& plan, Duration longest_step) {
  return plan.best && plan.best->step_time <= longest_step;
}

}  // namespace

double steps_for_samples(const Task& task, double samples) {
  return steps_for(samples, static_cast<double>(task.global_batch), "samples");
}

double steps_for_tokens(const Task& task, double tokens) {
  const Positions& rows = task.model.input_positions();
  if (rows.source + rows.target == 0) {
    reject(fmt::format("tokens: {} reads none", task.model.name()));
  }
  const double each = static_cast<double>(rows.count(task.lengths));
  return steps_for(tokens, each * static_cast<double>(task.global_batch), "tokens");
}

double device_seconds(const Estimate& step) {
  return seconds(step.step_time) * step.strategy.devices();
}

TrainingForecast forecast_training(const Estimate& step, double steps,
                                   std::optional<double> price_per_device_hour) {
  if (!std::isfinite(steps) || steps <= 0) {
    reject(fmt::format("steps: expected a number > 0, got {}", steps));
  }
  const double price = price_per_device_hour.value_or(0);
  if (!std::isfinite(price) || price < 0) {
    reject(fmt::format("price: expected a number >= 0, got {}", price));
  }
  TrainingForecast training{.steps = steps,
                            .time_s = steps * seconds(step.step_time),
                            .devices = step.strategy.devices(),
                            .device_hours = steps * device_seconds(step) / 3600,
                            .cost = {}};
  if (price_per_device_hour) training.cost = training.device_hours * price;
  return training;
}

std::optional<SizedPlan> fewest_devices(const PlanOn& plan_on, int most, Duration longest_step) {
  if (most < 1) reject(fmt::format("devices: expected >= 1, got {}", most));
  SizedPlan found{most, plan_on(most)};
  if (!fast_enough(found.plan, longest_step)) return std::nullopt;
  // Too slow on `slow` devices, fast enough on found.devices.
  for (int slow = 0; found.devices - slow > 1;) {
    const int middle = slow + (found.devices - slow) / 2;
    Plan plan = plan_on(middle);
    if (fast_enough(plan, longest_step)) {
      found = {middle, std::move(plan)};
    } else {
      slow = middle;
    }
  }
  return found;
}

std::optional<SizedPlan> cheapest(const PlanOn& plan_on, std::span<const int> counts,
                                  Duration longest_step) {
  std::optional<SizedPlan> found;
  const auto rank = [](const Estimate& step) {
    return std::pair(device_seconds(step), step.strategy.devices());
  };
  for (const int devices : counts) {
    Plan plan = plan_on(devices);
    if (!fast_enough(plan, longest_step)) continue;
    if (!found || rank(*plan.best) < rank(*found->plan.best)) found = {devices, std::move(plan)};
  }
  return found;
}

}  // namespace foreplan
