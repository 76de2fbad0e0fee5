#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "planner/plan_io.hpp"
#include "runtime/checkpoint.hpp"
#include "runtime/dataset.hpp"
#include "runtime/trainer.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/measurement_io.hpp"
#include "sim/timeline_io.hpp"
#include "tools/backends.hpp"
#include "tools/commands.hpp"
#include "tools/mean_timeline.hpp"
#include "tools/outputs.hpp"
#include "tools/progress.hpp"
#include "tools/resources.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The first steps fill caches and are not counted in the mean.
constexpr int kWarmUp = 3;

double default_learning_rate(Optimizer optimizer) {
  return optimizer == Optimizer::sgd ? 0.05 : 0.001;
}

/// A training run: what `foreplan run` does, step by step.
class TrainingRun {
 public:
  TrainingRun(const RunCommand& command, const PlanToRun& plan)
      : command_(command),
        plan_(plan),
        model_(at_place(command.plan, [&] { return load_model(plan.request.model); })),
        cluster_(host_cluster(plan.strategy.devices())),
        graph_(at_place(command.plan, [&] { return lower_plan(); })),
        backend_(make_backend({.name = command.backend,
                               .devices = graph_.devices,
                               .cuda_graph = command.cuda_graph})),
        trainer_(model_, graph_, *backend_, trainer_options()),
        data_(load_data()) {
    if (!command.data.empty()) {
      at_place(command.data, [&] { trainer_.load_batch(data_.train, 0); });
    }
    if (!command.resume) return;
    trainer_.restore(load_checkpoint(checkpoint_file(), model_, plan.request.optimizer));
  }

  void train(std::ostream& out) {
    Progress progress("training");
    const std::int64_t first = trainer_.steps_done();
    for (int i = 0; i < command_.steps; ++i) {
      trainer_.load_batch(data_.train, (first + i) * plan_.request.global_batch);
      const StepResult result = trainer_.step();
      losses_.push_back(result.loss);
      if (i >= kWarmUp || command_.steps <= kWarmUp) mean_.add(result.measured);
      tell(result, i, out);
      progress.tell(i + 1, command_.steps);
    }
    accuracy_ = trainer_.accuracy(data_.held_out);
    if (!command_.checkpoint.empty()) {
      save_checkpoint(checkpoint_file(), model_, plan_.request.optimizer, trainer_.state());
    }
  }

  void write_results(std::ostream& out) const {
    const Measurement measured = measurement();
    if (!command_.output.empty()) write_file(command_.output, to_json(measured));
    if (!command_.trace.empty()) write_file(command_.trace, to_trace(graph_, mean_.timeline()));
    const double error = seconds(plan_.step_time) / seconds(measured.step_time.mean) - 1;
    if (command_.json) {
      out << summary_json(measured, error).dump(2) << "\n";
      return;
    }
    if (command_.backend == "cuda") out << "on " << measured.device << "\n";
    out << fmt::format(
        "accuracy {:.2f} % on {} held-out samples\nstep measured {} (median {}, {} steps), "
        "forecast "
        "{}: {:+.1f} %\n",
        100 * accuracy_, data_.held_out.size(), format(measured.step_time.mean),
        format(measured.step_time.median), measured.step_time.samples, format(plan_.step_time),
        100 * error);
  }

 private:
  TaskGraph lower_plan() const {
    const auto& request = plan_.request;
    check(plan_.strategy, model_, plan_.strategy.devices(), request.global_batch);
    LoweringOptions options;
    options.optimizer = request.optimizer;
    options.concurrent_streams =
        command_.backend == "cuda" || cluster_.device(DeviceId{0}).concurrent_streams;
    return lower(model_, plan_.strategy, request.global_batch, options);
  }

  TrainerOptions trainer_options() const {
    const Optimizer optimizer = plan_.request.optimizer;
    return {.optimizer = optimizer,
            .learning_rate = command_.learning_rate > 0 ? command_.learning_rate
                                                        : default_learning_rate(optimizer),
            .seed = command_.seed};
  }

  DataSplit load_data() const {
    if (!command_.data.empty()) return read_mnist(command_.data);
    return generate_data(
        {.features = model_.input_features(), .classes = model_.classes(), .seed = command_.seed});
  }

  fs::path checkpoint_file() const {
    return fs::path(command_.checkpoint) / (model_.name() + ".checkpoint");
  }

  void tell(const StepResult& result, int i, std::ostream& out) const {
    const int every = std::max(1, command_.steps / 10);
    if (command_.json || (i % every != 0 && i + 1 != command_.steps)) return;
    out << fmt::format("step {:>5}  loss {:.4f}\n", result.step, result.loss);
    out.flush();
  }

  Measurement measurement() const {
    return {.model = model_.name(),
            .strategy = format(plan_.strategy),
            .backend = backend_->name(),
            .device = device_name(command_.backend, graph_.devices),
            .global_batch = plan_.request.global_batch,
            .steps = command_.steps,
            .step_time = mean_.step_time(),
            .tasks = measured_tasks(graph_, mean_.timeline()),
            .losses = losses_};
  }

  Json summary_json(const Measurement& measured, double error) const {
    Json json{{"model", measured.model},
              {"strategy", to_json(plan_.strategy)},
              {"backend", measured.backend},
              {"steps", command_.steps},
              {"losses", losses_},
              {"accuracy", accuracy_},
              {"forecast_s", seconds(plan_.step_time)},
              {"measured_s", seconds(measured.step_time.mean)},
              {"error", error}};
    json["replica_divergence"] = trainer_.replica_divergence();
    return json;
  }

  const RunCommand& command_;
  const PlanToRun& plan_;
  OpGraph model_;
  Cluster cluster_;
  TaskGraph graph_;
  std::unique_ptr<Backend> backend_;
  Trainer trainer_;
  DataSplit data_;
  MeanTimeline mean_;
  std::vector<double> losses_;
  double accuracy_ = 0;
};

}  // namespace

void run_run(const RunCommand& command, std::ostream& out) {
  check_backend(command.backend);
  if (command.cuda_graph && command.backend != "cuda") {
    reject("--cuda-graph: expected --backend cuda beside it");
  }
  if (command.resume && command.checkpoint.empty()) {
    reject("--resume: expected --checkpoint DIR beside it");
  }
  const PlanToRun plan = read_plan(command.plan);
  check_output(command.output);
  check_output(command.trace);
  make_folder(command.checkpoint);
  TrainingRun run(command, plan);
  run.train(out);
  run.write_results(out);
}

}  // namespace foreplan
