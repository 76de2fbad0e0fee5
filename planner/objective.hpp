#pragma once

#include <functional>
#include <optional>
#include <span>

#include "planner/search.hpp"

namespace foreplan {

/// Steps until so many samples, or tokens, have been seen: the last one whole.
/// @throws Error(invalid_argument) if the number is not > 0 and finite, or the network reads no tokens
double steps_for_samples(const Task& task, double samples);
double steps_for_tokens(const Task& task, double tokens);

/// A whole training run.
struct TrainingForecast {
  double steps = 0;
  double time_s = 0;  ///< a number, as a Duration holds but 106 days
  int devices = 0;    ///< that the strategy uses; idle ones are given back
  double device_hours = 0;
  std::optional<double> cost;  ///< device hours times the price of one
};

/// @param price_per_device_hour  in any currency; empty: not asked
/// @throws Error(invalid_argument) if steps are not > 0, or the price is not >= 0 and finite
TrainingForecast forecast_training(const Estimate& step, double steps,
                                   std::optional<double> price_per_device_hour = {});

/// The best plan for at most so many devices.
using PlanOn = std::function<Plan(int devices)>;

struct SizedPlan {
  int devices = 0;  ///< that it was planned for, at most
  Plan plan;        ///< whose best is there
};

/// The plan on the fewest devices whose step takes at most `longest_step`; empty: even `most` are too slow.
///
/// More devices never make the best plan slower, as devices may stay idle; so bisection is exact, with
/// log2(most) plans.
/// @throws Error(invalid_argument) unless most >= 1
std::optional<SizedPlan> fewest_devices(const PlanOn& plan_on, int most, Duration longest_step);

/// Of the plans for each of `counts` the one whose step takes the fewest device-seconds, among those whose step
/// takes at most `longest_step`; of equals the one with the fewest devices. Empty: none is so fast.
std::optional<SizedPlan> cheapest(const PlanOn& plan_on, std::span<const int> counts,
                                  Duration longest_step = Duration::max());

/// Of device-seconds: what a step takes, times the devices that it uses [s].
double device_seconds(const Estimate& step);

}  // namespace foreplan
