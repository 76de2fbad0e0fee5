#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "planner/plan_io.hpp"
#include "planner/search.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "tools/commands.hpp"
#include "tools/outputs.hpp"
#include "tools/progress.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds that `--time-limit` tells, as 5s or 0.5s; infinity where it tells none.
double time_limit(const std::string& text) {
  if (text.empty()) return std::numeric_limits<double>::infinity();
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const bool fits = error == std::errc() && rest + 1 == end && *rest == 's' &&
                    std::isfinite(number) && number > 0;
  if (!fits) {
    reject(fmt::format("--time-limit: expected seconds > 0, as 5s, got '{}'", text));
  }
  return number;
}

std::vector<std::string> cells(const Estimate& estimate, Duration one_device) {
  const double speedup = seconds(one_device) / seconds(estimate.step_time);
  return {format(estimate.strategy),
          format(estimate.step_time),
          fmt::format("{:.2f}", speedup),
          format(estimate.peak_memory),
          fmt::format("{:.1f}", 100 * estimate.mfu),
          std::string(name(estimate.limited_by))};
}

std::string proof(const Certificate& c) {
  std::string text =
      fmt::format("{} strategies: {} simulated, {} out of memory, {} ruled out by bounds",
                  c.strategies, c.simulated, c.out_of_memory, c.bounded_out);
  if (c.gap == 0) return text + "; gap 0: none of them is faster by these costs.";
  if (c.open > 0) text += fmt::format(", {} not looked at", c.open);
  return text +
         fmt::format("; lower bound {}, gap {:.2g}: stopped early.", format(c.lower_bound), c.gap);
}

void print_plan(const Plan& plan, std::ostream& out) {
  TextTable table({"strategy", "step", "speed-up", "memory", "MFU %", "limited by"});
  if (plan.best) table.add(cells(*plan.best, plan.one_device.step_time));
  for (const Estimate& other : plan.alternatives) {
    table.add(cells(other, plan.one_device.step_time));
  }
  out << table.text();
  if (!plan.best) return;
  out << fmt::format("\nbest: {}\n{}\n", format(plan.best->strategy), proof(plan.certificate));
}

/// Says by how much the strategy that comes nearest does not fit, and on what it would.
[[noreturn]] void nothing_fits(const Plan& plan, const Task& task) {
  if (plan.certificate.open > 0) {
    throw Error(ErrorCode::infeasible,
                fmt::format("nothing fits among what was looked at before the time limit: {} of {} "
                            "strategies",
                            plan.certificate.strategies - plan.certificate.open,
                            plan.certificate.strategies));
  }
  const Estimate* nearest = &plan.one_device;
  for (const Estimate& other : plan.alternatives) {
    if (other.peak_memory < nearest->peak_memory) nearest = &other;
  }
  const Bytes memory = task.cluster.device(DeviceId{0}).memory;
  const Bytes needed = nearest->peak_memory + task.stack.context_bytes;
  throw Error(
      ErrorCode::infeasible,
      fmt::format("nothing fits: {} comes nearest with {} on a device of {}, {} too much; it would "
                  "fit on devices of {}, and more devices would share its state further",
                  format(nearest->strategy), format(needed), format(memory),
                  format(needed - memory), format(needed)));
}

SearchOptions search_options(const PlanCommand& command, Progress& progress) {
  const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  SearchOptions options{.devices = command.devices,
                        .top = static_cast<std::size_t>(command.top),
                        .exhaustive = command.exhaustive,
                        .gap = command.gap,
                        .threads = command.threads > 0 ? command.threads : cores};
  const double limit = time_limit(command.time_limit);
  if (std::isfinite(limit)) {
    options.stop = [started = Clock::now(), limit] {
      return std::chrono::duration<double>(Clock::now() - started).count() > limit;
    };
  }
  options.progress = [&progress](std::int64_t done, std::int64_t all) { progress.tell(done, all); };
  return options;
}

}  // namespace

void run_plan(const PlanCommand& command, std::ostream& out) {
  check_output(command.output);
  TaskOptions asked = command.task;
  asked.usual_sequence = true;
  LoadedTask loaded(asked);
  const Task& task = loaded.task();
  const Goal goal = goal_of(command.goal, task);
  const auto started = Clock::now();
  Progress progress("searching strategies");
  SearchOptions options = search_options(command, progress);
  const Planning planning = [&](const Task& any) { return foreplan::plan(any, options); };
  const PlanOn plan_on = [&](int devices) {
    options.devices = devices;
    return planning(task);
  };
  const int all = task.cluster.devices();
  const SizedPlan sized =
      plan_for(goal, plan_on, command.devices == 0 ? all : std::min(command.devices, all));
  options.devices = sized.devices;
  const Plan& plan = sized.plan;
  const std::chrono::duration<double> took = Clock::now() - started;
  const std::optional<Explanation> why = explained(command.goal, task, plan, planning);
  const PlanRequest request{.model = command.task.model,
                            .cluster = command.task.cluster,
                            .profile = command.task.profile,
                            .global_batch = command.task.global_batch,
                            .optimizer = task.optimizer};
  nlohmann::ordered_json json = to_json(request, plan, took.count());
  json["training"] = plan.best ? training_json(goal, *plan.best) : nullptr;
  json["explanation"] = why ? to_json(*why) : nullptr;
  const std::string text = json.dump(2) + "\n";
  if (command.json) {
    out << text;
  } else {
    print_plan(plan, out);
    if (plan.best) out << describe_training(goal, *plan.best);
    if (why) out << "\n" << describe(*why);
  }
  if (!plan.best) nothing_fits(plan, task);
  if (!command.output.empty()) write_file(command.output, text);
}

}  // namespace foreplan
