#include "tests/properties/step_properties.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "planner/branch_step.hpp"
#include "planner/folded_step.hpp"
#include "planner/layer_split.hpp"
#include "planner/scattered_step.hpp"
#include "sim/error.hpp"
#include "sim/memory_timeline.hpp"
#include "sim/simulate.hpp"

namespace foreplan {
namespace {

/// More tasks than this are not replayed one by one: a million steps shall take minutes.
constexpr std::int64_t kMostReplayed = 400;

std::string wrong_times(const Estimate& estimate) {
  const DeviceTime& time = estimate.breakdown;
  if (estimate.step_time <= Duration::zero()) return "a step takes no time";
  for (const Duration part :
       {time.compute, time.optimizer, time.exposed_communication, time.idle}) {
    if (part < Duration::zero()) {
      return fmt::format(
          "a part of the step is negative: compute {}, optimizer {}, exposed {}, idle {}",
          format(time.compute), format(time.optimizer), format(time.exposed_communication),
          format(time.idle));
    }
  }
  const Duration sum = time.compute + time.optimizer + time.exposed_communication + time.idle;
  if (sum != estimate.step_time) return "the breakdown does not add up to the step";
  return {};
}

std::string wrong_memory(const Estimate& estimate) {
  Bytes fullest;
  for (const StageMemory& stage : estimate.stages) {
    Bytes sum;
    for (const Bytes part :
         {stage.parameters, stage.gradients, stage.optimizer, stage.activations, stage.buffers}) {
      if (part < Bytes{}) return fmt::format("stage {} holds less than nothing", stage.stage);
      sum += part;
    }
    if (sum != stage.peak) return fmt::format("memory of stage {} does not add up", stage.stage);
    fullest = std::max(fullest, sum);
  }
  if (static_cast<int>(estimate.stages.size()) != estimate.strategy.pp) return "stages are missing";
  return fullest == estimate.peak_memory ? "" : "the peak is not that of the fullest stage";
}

std::string wrong_rates(const Estimate& estimate) {
  // Times are whole picoseconds, so that a task may be half of one short.
  if (estimate.mfu < 0 || estimate.mfu > 1 + 1e-6) return fmt::format("MFU is {}", estimate.mfu);
  if (estimate.hfu < estimate.mfu) {
    return fmt::format("HFU {} is below MFU {}", estimate.hfu, estimate.mfu);
  }
  return estimate.samples_per_s > 0 ? "" : "no samples a second";
}

bool same(const Estimate& a, const Estimate& b) {
  const DeviceTime &s = a.breakdown, &t = b.breakdown;
  return a.strategy == b.strategy && a.step_time == b.step_time && s.compute == t.compute &&
         s.optimizer == t.optimizer && s.exposed_communication == t.exposed_communication &&
         s.idle == t.idle && a.peak_memory == b.peak_memory && a.mfu == b.mfu && a.hfu == b.hfu &&
         a.feasible == b.feasible;
}

std::string wrong_graph(const FoldedStep& step, const Task& task, const Estimate& estimate) {
  if (estimate.tasks > kMostReplayed) return {};
  const FoldedGraph folded = step.graph(task.costs);
  const Timeline timeline = replay(folded.graph, folded.costs);
  if (makespan(timeline) != estimate.step_time) {
    return fmt::format("its tasks take {}, estimated were {}", format(makespan(timeline)),
                       format(estimate.step_time));
  }
  // The memory of tasks that take no time counts beside what begins at that instant.
  const auto& durations = folded.costs.duration;
  if (std::count(durations.begin(), durations.end(), Duration::zero()) > 0) return {};
  const auto memory = memory_timeline(folded.graph, timeline);
  for (std::size_t s = 0; s < memory.size(); ++s) {
    if (memory[s].peak > estimate.stages[s].peak) {
      return fmt::format("the tasks of stage {} hold {}, estimated were {}", s,
                         format(memory[s].peak), format(estimate.stages[s].peak));
    }
  }
  return {};
}

std::string wrong_answer(const Estimate& estimate) {
  for (const auto& check : {wrong_times, wrong_memory, wrong_rates}) {
    if (std::string what = check(estimate); !what.empty()) return what;
  }
  return {};
}

/// Of a step of its own kind.
template <typename Step>
std::string wrong_step(const Step& step) {
  const Estimate estimate = step.estimate();
  if (std::string what = wrong_answer(estimate); !what.empty()) return what;
  if (!same(estimate, step.estimate())) return "asked again it differs";
  if (estimate.tasks > kMostReplayed) return {};
  const FoldedGraph folded = step.graph();
  if (static_cast<std::int64_t>(folded.graph.size()) != estimate.tasks) return "tasks are missing";
  const Duration replayed = makespan(replay(folded.graph, folded.costs));
  if (replayed == estimate.step_time) return {};
  return fmt::format("its tasks take {}, estimated were {}", format(replayed),
                     format(estimate.step_time));
}

/// Branches never make a replica slower that may leave its other devices idle.
std::string slower_branches(const RandomStep& asked) {
  Strategy one = asked.strategy;
  one.bp = 1;
  if (one.dp > 1) return {};
  const Duration whole = BranchStep(asked.task, one).estimate().step_time;
  const Duration step = BranchStep(asked.task, asked.strategy).estimate().step_time;
  if (step <= whole) return {};
  return fmt::format("branches take {}, one device {}", format(step), format(whole));
}

std::string wrong(const RandomStep& asked) {
  const Task& task = asked.task;
  if (asked.strategy.bp > 1 && asked.strategy.split_from == 0 &&
      asked.strategy.replication == Replication::ddp) {
    const std::string what = wrong_step(BranchStep(task, asked.strategy));
    return what.empty() ? slower_branches(asked) : what;
  }
  if (asked.strategy.split_from != 0 && asked.strategy.replication == Replication::ddp) {
    return wrong_step(LayerSplit(task, asked.strategy));
  }
  if (asked.strategy.replication == Replication::dataparallel) {
    return wrong_answer(ScatteredStep(task, asked.strategy).estimate());
  }
  const FoldedStep step(task, asked.strategy);
  FoldedStep::Workspace workspace;
  const Estimate estimate = step.estimate(task.costs, workspace);
  if (std::string what = wrong_answer(estimate); !what.empty()) return what;
  if (!same(estimate, step.estimate(task.costs, workspace))) return "asked again it differs";
  const FoldedStep told(task, estimate.strategy);
  if (!same(estimate, told.estimate(task.costs))) return "told all that was left open it differs";
  return wrong_graph(step, task, estimate);
}

}  // namespace

Verdict judge(const RandomStep& step) {
  try {
    return {.refusal = {}, .violation = wrong(step)};
  } catch (const Error& error) {
    const std::string reason = error.what();
    Verdict verdict{.refusal = reason.empty() ? "?" : reason, .violation = {}};
    if (error.code() != ErrorCode::invalid_argument) verdict.violation = "another kind of error";
    if (reason.empty()) verdict.violation = "refused without a reason";
    if (reason.find('\n') != std::string::npos) verdict.violation = "refused in several lines";
    return verdict;
  } catch (const std::exception& error) {
    return {.refusal = {}, .violation = fmt::format("an exception: {}", error.what())};
  }
}

}  // namespace foreplan
