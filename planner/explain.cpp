#include "planner/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "sim/error.hpp"

namespace foreplan {
namespace {

const Estimate& best_of(const Plan& plan) {
  if (!plan.best) reject("plan: nothing to explain, nothing fits");
  return *plan.best;
}

/// In the order of ties.
std::vector<TimePart> unsorted_parts(const Estimate& step) {
  const DeviceTime& time = step.breakdown;
  std::vector<TimePart> parts{{"compute", time.compute, 0},
                              {"optimizer", time.optimizer, 0},
                              {"exposed communication", time.exposed_communication, 0},
                              {"bubble", time.idle, 0}};
  const double whole = seconds(step.step_time);
  for (TimePart& part : parts) part.share = whole > 0 ? seconds(part.time) / whole : 0;
  return parts;
}

RunnerUp runner_up_of(const Estimate& best, const Estimate& other) {
  RunnerUp runner_up{.step = other,
                     .slower = seconds(other.step_time) / seconds(best.step_time) - 1,
                     .differs = differences(best.strategy, other.strategy),
                     .more = unsorted_parts(other)};
  const std::vector<TimePart> parts = unsorted_parts(best);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    runner_up.more[i].time -= parts[i].time;
    runner_up.more[i].share = seconds(runner_up.more[i].time) / seconds(best.step_time);
  }
  std::stable_sort(runner_up.more.begin(), runner_up.more.end(),
                   [](const TimePart& a, const TimePart& b) {
                     return std::abs(a.time.count()) > std::abs(b.time.count());
                   });
  return runner_up;
}

/// Old step over new, minus 1.
double gain(const Estimate& old_step, Duration new_step) {
  return seconds(old_step.step_time) / seconds(new_step) - 1;
}

Sensitivity sensitivity(const Task& task, const Estimate& best, const Scaling& scaling,
                        const Planning& planning) {
  const ScaledTask more(task, scaling);
  Sensitivity result;
  const Estimate kept = estimate(more.task(), best.strategy);
  result.gain_kept = gain(best, kept.step_time);
  result.best = planning(more.task()).best;
  if (!result.best) return result;
  result.gain = gain(best, result.best->step_time);
  result.changes_plan = result.best->strategy != best.strategy;
  return result;
}

}  // namespace

std::vector<TimePart> time_parts(const Estimate& step) {
  std::vector<TimePart> parts = unsorted_parts(step);
  std::stable_sort(parts.begin(), parts.end(),
                   [](const TimePart& a, const TimePart& b) { return a.time > b.time; });
  return parts;
}

MemoryUse memory_use(const Task& task, const Estimate& step) {
  MemoryUse use;
  for (const StageMemory& stage : step.stages) {
    if (stage.peak > use.peak) use = {.stage = stage.stage, .peak = stage.peak};
  }
  use.peak += task.stack.context_bytes;
  const std::vector<DeviceSpec>& specs = task.cluster.specs();
  use.room = std::min_element(specs.begin(), specs.end(), [](const auto& a, const auto& b) {
               return a.memory < b.memory;
             })->memory;
  return use;
}

std::vector<std::string> differences(const Strategy& strategy, const Strategy& other) {
  std::vector<std::string> keys;
  const auto compare = [&](std::string_view key, auto member) {
    if (strategy.*member != other.*member) keys.push_back(fmt::format("{}={}", key, other.*member));
  };
  compare("dp", &Strategy::dp);
  compare("tp", &Strategy::tp);
  compare("pp", &Strategy::pp);
  compare("vpp", &Strategy::vpp);
  compare("cp", &Strategy::cp);
  compare("ep", &Strategy::ep);
  compare("bp", &Strategy::bp);
  if (strategy.order != other.order) keys.push_back("order=" + format(other.order));
  if (strategy.micro_batch != other.micro_batch && other.micro_batch) {
    keys.push_back(fmt::format("micro_batch={}", *other.micro_batch));
  }
  compare("zero", &Strategy::zero);
  if (strategy.sp != other.sp) keys.push_back(fmt::format("sp={}", other.sp ? 1 : 0));
  const auto compare_names = [&](std::string_view key, auto member) {
    if (strategy.*member == other.*member) return;
    keys.push_back(fmt::format("{}={}", key, name(other.*member)));
  };
  compare_names("recompute", &Strategy::recompute);
  if (strategy.recompute_layers != other.recompute_layers) {
    keys.push_back(other.recompute_layers
                       ? fmt::format("recompute_layers={}", *other.recompute_layers)
                       : "recompute_layers left out");
  }
  compare_names("offload", &Strategy::offload);
  compare_names("replication", &Strategy::replication);
  compare_names("schedule", &Strategy::schedule);
  compare("split_from", &Strategy::split_from);
  if (keys.empty() && strategy.layers != other.layers) {
    keys.push_back(fmt::format("layers={}", fmt::join(other.layers, "+")));
  }
  return keys;
}

Explanation explain(const Task& task, const Plan& plan) {
  const Estimate& best = best_of(plan);
  Explanation why{.parts = time_parts(best),
                  .limit = best.limited_by,
                  .memory = memory_use(task, best),
                  .runner_up = {},
                  .sensitivities = {}};
  const auto other = std::find_if(plan.alternatives.begin(), plan.alternatives.end(),
                                  [](const Estimate& e) { return e.feasible; });
  if (other != plan.alternatives.end()) why.runner_up = runner_up_of(best, *other);
  return why;
}

std::vector<Sensitivity> sensitivities(const Task& task, const Plan& plan, double factor,
                                       const Planning& planning) {
  const Estimate& best = best_of(plan);
  const std::array<std::pair<std::string_view, Scaling>, 3> scalings{
      {{"link bandwidth", {.bandwidth = factor}},
       {"device memory", {.memory = factor}},
       {"compute", {.compute = factor}}}};
  std::vector<Sensitivity> results;
  for (const auto& [what, scaling] : scalings) {
    Sensitivity result = sensitivity(task, best, scaling, planning);
    result.what = what;
    result.factor = factor;
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace foreplan
