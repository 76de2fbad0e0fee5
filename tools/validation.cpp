#include "tools/validation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <utility>

#include "planner/search.hpp"
#include "profiler/issue_probe.hpp"
#include "runtime/dataset.hpp"
#include "runtime/trainer.hpp"
#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "tools/mean_timeline.hpp"
#include "tools/rank_correlation.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

constexpr int kIssueSteps = 50;

/// A network with its data.
struct Subject {
  Workload workload;
  OpGraph model;
  DataSplit data;
};

Subject make_subject(const Workload& workload) {
  OpGraph model = load_model(workload.model);
  DataSplit data = generate_data({.features = model.input_features(),
                                  .classes = model.classes(),
                                  .train = 4 * workload.global_batch,
                                  .held_out = 1});
  return {.workload = workload, .model = std::move(model), .data = std::move(data)};
}

/// A row while it is measured.
struct Runner {
  Runner(const Subject& subject, Strategy chosen, const TaskGraph& lowered, Machine& machine,
         const ProfilingOptions& turn_of_rows)
      : turn(turn_of_rows),
        strategy(std::move(chosen)),
        graph(lowered),
        backend(machine.make_backend(graph.devices)),
        trainer(subject.model, graph, *backend, {.learning_rate = 0.01}) {
    trainer.load_batch(subject.data.train, 0);
    trainer.step();
    const Duration step = makespan(trainer.step().measured.timeline);
    steps = steps_of_turn(step, turn);
  }

  void round() {
    for (int i = 0; i < turn.warm_up; ++i) trainer.step();
    for (int i = 0; i < steps; ++i) mean.add(trainer.step().measured);
  }

  ProfilingOptions turn;
  Strategy strategy;
  TaskGraph graph;
  std::unique_ptr<Backend> backend;
  Trainer trainer;
  int steps = 0;
  MeanTimeline mean;
};

/// The strategies that are always validated: by family, with micro-batches an eighth of the share.
std::vector<Strategy> fixed_strategies(std::int64_t batch, int devices) {
  const std::int64_t eighth = std::max<std::int64_t>(1, batch / 8);
  const std::int64_t sixteenth = std::max<std::int64_t>(1, batch / 16);
  std::vector<Strategy> strategies{
      Strategy{},
      {.dp = 2},
      {.dp = 2, .micro_batch = sixteenth},
      {.tp = 2},
      {.pp = 2, .micro_batch = eighth, .schedule = Schedule::gpipe},
      {.pp = 2, .micro_batch = eighth, .schedule = Schedule::one_f_one_b},
      {.dp = 4},
      {.tp = 4},
      {.dp = 2, .tp = 2},
      {.dp = 2, .pp = 2, .micro_batch = sixteenth, .schedule = Schedule::one_f_one_b}};
  std::erase_if(strategies, [&](const Strategy& s) { return s.devices() > devices; });
  return strategies;
}

class ValidationRun {
 public:
  ValidationRun(Machine& machine, const ValidationOptions& options)
      : machine_(machine), options_(options), cluster_(machine.cluster()) {
    for (const Workload& workload : options.workloads) {
      subjects_.push_back(make_subject(workload));
    }
  }

  Validation run() {
    const ProfileModel first(first_profile());
    for (const Subject& subject : subjects_) prepare(subject, first);
    CopySizes copies;
    Profiling profiling(machine_.session(), options_.turns);
    for (std::size_t i = 0; i < subjects_.size(); ++i) {
      add_measurements(task(subjects_[i], first), strategies_[i], machine_.sequences(), profiling,
                       copies);
    }
    copies.add_grid(4_MB);
    profiling.add_communication(copies);
    for (int round = 0; round < options_.rounds; ++round) {
      profiling.round({});
      for (auto& runners : runners_) {
        for (const auto& runner : runners) runner->round();
      }
      if (options_.progress) options_.progress(round + 1, options_.rounds);
    }
    result_.profile = profiling.profile(machine_.describe());
    result_.profile.issue = measure_issue(machine_.session(), kIssueSteps);
    forecast(ProfileModel(result_.profile));
    result_.summary = summarise(result_.rows);
    return std::move(result_);
  }

 private:
  Task task(const Subject& subject, const CostModel& costs) const {
    return {.model = subject.model,
            .cluster = cluster_,
            .costs = costs,
            .global_batch = subject.workload.global_batch};
  }

  /// One round over the whole space: what the plans are made with.
  Profile first_profile() {
    Profiling profiling(machine_.session(), options_.first_turns);
    CopySizes copies;
    const RooflineModel sheet;
    for (const Subject& subject : subjects_) {
      const Task asked = task(subject, sheet);
      add_measurements(asked, strategy_space(asked, cluster_.devices()), machine_.sequences(),
                       profiling, copies);
    }
    copies.add_grid(16_MB);
    profiling.add_communication(copies);
    profiling.round({});
    profiling.unload();
    Profile profile = profiling.profile(machine_.describe());
    profile.issue = measure_issue(machine_.session(), kIssueSteps);
    return profile;
  }

  /// Chooses a network's strategies and makes them ready to run.
  void prepare(const Subject& subject, const CostModel& costs) {
    const Task asked = task(subject, costs);
    std::vector<Strategy> strategies;
    const auto add = [&](const Strategy& strategy) {
      const Strategy whole = complete(asked, strategy);
      const auto end = strategies.end();
      if (std::find(strategies.begin(), end, whole) == end) strategies.push_back(whole);
    };
    for (const Strategy& strategy :
         fixed_strategies(subject.workload.global_batch, cluster_.devices())) {
      try {
        add(strategy);
      } catch (const Error& error) {
        result_.skipped.push_back({.id = row_id(subject, strategy), .reason = error.what()});
      }
    }
    const Plan planned = plan(asked, {});
    if (planned.best) add(planned.best->strategy);
    runners_.emplace_back();
    for (const Strategy& strategy : strategies) {
      const TaskGraph graph =
          lower(subject.model, strategy, subject.workload.global_batch, lowering_options(asked));
      runners_.back().push_back(
          std::make_unique<Runner>(subject, strategy, graph, machine_, options_.row_turns));
    }
    strategies_.push_back(std::move(strategies));
  }

  static std::string row_id(const Subject& subject, const Strategy& strategy) {
    return fmt::format("{} {}", subject.workload.model, format(strategy));
  }

  void forecast(const CostModel& costs) {
    for (std::size_t i = 0; i < subjects_.size(); ++i) {
      for (const auto& runner : runners_[i]) {
        result_.rows.push_back(row(subjects_[i], *runner, costs));
      }
    }
  }

  ValidationRow row(const Subject& subject, const Runner& runner, const CostModel& costs) const {
    const Task asked = task(subject, costs);
    ValidationRow row;
    row.id = row_id(subject, runner.strategy);
    row.source = machine_.where(runner.strategy.devices());
    row.workload = subject.workload;
    row.strategy = runner.strategy;
    row.graph = runner.graph;
    row.forecast_timeline =
        simulate(runner.graph, cost(runner.graph, cluster_, costs), cluster_).timeline;
    row.forecast = summarise(asked, runner.strategy, runner.graph, row.forecast_timeline);
    row.measured = runner.mean.step_time();
    row.measured_timeline = runner.mean.timeline();
    const std::vector<Bytes>& arenas = runner.trainer.arenas().size;
    row.measured_bytes = *std::max_element(arenas.begin(), arenas.end());
    return row;
  }

  Machine& machine_;
  ValidationOptions options_;
  const Cluster& cluster_;
  std::vector<Subject> subjects_;
  std::vector<std::vector<Strategy>> strategies_;
  std::vector<std::vector<std::unique_ptr<Runner>>> runners_;
  Validation result_;
};

ValidationSummary summary_of(const std::string& source,
                             const std::vector<const ValidationRow*>& rows) {
  ValidationSummary summary{.source = source, .rows = static_cast<std::int64_t>(rows.size())};
  std::vector<double> forecast, measured;
  for (const ValidationRow* row : rows) {
    forecast.push_back(seconds(row->forecast.step_time));
    measured.push_back(seconds(row->measured.mean));
    summary.mape += std::abs(row->error());
    summary.bias += row->error();
    summary.max = std::max(summary.max, std::abs(row->error()));
  }
  if (rows.empty()) return summary;
  summary.mape /= static_cast<double>(rows.size());
  summary.bias /= static_cast<double>(rows.size());
  summary.spearman = spearman(forecast, measured);
  const auto first = std::min_element(forecast.begin(), forecast.end()) - forecast.begin();
  summary.regret = measured[static_cast<std::size_t>(first)] /
                       *std::min_element(measured.begin(), measured.end()) -
                   1;
  return summary;
}

}  // namespace

double ValidationRow::error() const {
  return seconds(forecast.step_time) / seconds(measured.mean) - 1;
}

std::vector<ValidationSummary> summarise(const std::vector<ValidationRow>& rows) {
  std::vector<ValidationSummary> summaries;
  std::vector<const ValidationRow*> all;
  std::vector<std::string> models;
  for (const ValidationRow& row : rows) {
    all.push_back(&row);
    if (std::find(models.begin(), models.end(), row.workload.model) == models.end()) {
      models.push_back(row.workload.model);
    }
  }
  double regret = 0;
  for (const std::string& model : models) {
    std::vector<const ValidationRow*> of;
    std::copy_if(all.begin(), all.end(), std::back_inserter(of),
                 [&](const ValidationRow* row) { return row->workload.model == model; });
    summaries.push_back(summary_of(model, of));
    regret = std::max(regret, summaries.back().regret);
  }
  summaries.push_back(summary_of("all", all));
  // Step times of two networks do not compete: over all, the worse of the two choices.
  summaries.back().regret = regret;
  return summaries;
}

Validation validate(Machine& machine, const ValidationOptions& options) {
  return ValidationRun(machine, options).run();
}

}  // namespace foreplan
