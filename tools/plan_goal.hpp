#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "planner/explain.hpp"
#include "planner/objective.hpp"

namespace foreplan {

/// What `plan` is asked for beside the fastest step, as commands are told it.
struct GoalOptions {
  std::string objective = "time";   ///< time, cost or devices
  std::optional<double> tokens{};   ///< to train
  std::optional<double> samples{};  ///< likewise, of networks without tokens
  std::optional<double> price{};    ///< of a device hour
  std::string deadline{};           ///< for the training, "30d"; empty: none
  bool explain = false;
};

/// Seconds that "90s", "36h" or "30d" tell.
/// @throws Error(invalid_argument) naming --deadline
double deadline_s(const std::string& text);

/// The goal, understood.
struct Goal {
  enum class Objective { time, cost, devices } objective{};
  std::optional<double> steps{};            ///< of the training
  std::optional<double> price{};            ///< of a device hour
  Duration longest_step = Duration::max();  ///< that meets the deadline
};

/// @throws Error(invalid_argument) naming the option
Goal goal_of(const GoalOptions& options, const Task& task);

/// The plan that meets the goal on at most `most` devices: of the fastest step, on the fewest devices, or, of the
/// plans for 1, 2, 4, ... and all devices, the one whose training costs least.
/// @throws Error(infeasible) telling how long training takes at best where no plan meets the deadline
SizedPlan plan_for(const Goal& goal, const PlanOn& plan_on, int most);

/// Why `plan` is as it is, with what 20 % more of something would bring; empty unless asked for.
std::optional<Explanation> explained(const GoalOptions& options, const Task& task, const Plan& plan,
                                     const Planning& planning);

/// The training for people; one line, empty where its length was not told.
std::string describe_training(const Goal& goal, const Estimate& step);
/// Why a plan is as it is, for people.
std::string describe(const Explanation& why);

/// Keys `training{}` (null: not told) and `explanation{}` (null: not asked for) of `plan --json`.
nlohmann::ordered_json training_json(const Goal& goal, const Estimate& step);
nlohmann::ordered_json to_json(const Explanation& why);

}  // namespace foreplan
