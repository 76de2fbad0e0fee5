#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>

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

std::vector<std::string> cells(const Estimate& estimate, Duration one_device) {
  const double speedup = seconds(one_device) / seconds(estimate.step_time);
  return {format(estimate.strategy),
          format(estimate.step_time),
          fmt::format("{:.2f}", speedup),
          format(estimate.peak_memory),
          fmt::format("{:.1f}", 100 * estimate.mfu),
          std::string(name(estimate.limited_by))};
}

void print_plan(const Plan& plan, std::ostream& out) {
  const Certificate& c = plan.certificate;
  TextTable table({"strategy", "step", "speed-up", "memory", "MFU %", "limited by"});
  if (plan.best) table.add(cells(*plan.best, plan.one_device.step_time));
  for (const Estimate& other : plan.alternatives) {
    table.add(cells(other, plan.one_device.step_time));
  }
  out << table.text();
  if (!plan.best) return;
  out << fmt::format(
      "\nbest: {}\n{} strategies, all simulated, {} out of memory; gap {:.2g}: none of them is "
      "faster by these costs.\n",
      format(plan.best->strategy), c.strategies, c.out_of_memory, c.gap);
}

/// Says by how much the strategy that comes nearest does not fit.
[[noreturn]] void nothing_fits(const Plan& plan, const Cluster& cluster) {
  const Estimate* nearest = &plan.one_device;
  for (const Estimate& other : plan.alternatives) {
    if (other.peak_memory < nearest->peak_memory) nearest = &other;
  }
  const Bytes memory = cluster.device(DeviceId{0}).memory;
  throw Error(ErrorCode::infeasible,
              fmt::format("nothing fits: {} comes nearest with {} on a device of {}, {} too much",
                          format(nearest->strategy), format(nearest->peak_memory), format(memory),
                          format(nearest->peak_memory - memory)));
}

}  // namespace

void run_plan(const PlanCommand& command, std::ostream& out) {
  check_output(command.output);
  const OpGraph model = load_model(command.model);
  const Cluster cluster = load_cluster(command.cluster);
  const std::unique_ptr<CostModel> costs = load_costs(command.profile);
  const Task task{.model = model,
                  .cluster = cluster,
                  .costs = *costs,
                  .global_batch = command.global_batch,
                  .optimizer = optimizer_named(command.optimizer)};
  const Goal goal = goal_of(command.goal, task);
  const auto started = std::chrono::steady_clock::now();
  Progress progress("simulating strategies");
  SearchOptions options{
      .devices = command.devices,
      .top = static_cast<std::size_t>(command.top),
      .progress = [&](std::int64_t done, std::int64_t all) { progress.tell(done, all); }};
  const Planning planning = [&](const Task& any) { return foreplan::plan(any, options); };
  const PlanOn plan_on = [&](int devices) {
    options.devices = devices;
    return planning(task);
  };
  const int all = cluster.devices();
  const SizedPlan sized =
      plan_for(goal, plan_on, command.devices == 0 ? all : std::min(command.devices, all));
  options.devices = sized.devices;
  const Plan& plan = sized.plan;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  const std::optional<Explanation> why = explained(command.goal, task, plan, planning);
  const PlanRequest request{.model = command.model,
                            .cluster = command.cluster,
                            .profile = command.profile,
                            .global_batch = command.global_batch,
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
  if (!plan.best) nothing_fits(plan, cluster);
  if (!command.output.empty()) write_file(command.output, text);
}

}  // namespace foreplan
