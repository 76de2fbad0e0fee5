#include "tools/cli.hpp"

#include <CLI/CLI.hpp>
#include <ostream>

#include "sim/error.hpp"
#include "tools/commands.hpp"

namespace foreplan {
namespace {

/// One command of the command line: its options write to `options`, and it then runs.
template <typename Options>
CLI::App* add_command(CLI::App& app, const char* name, const char* what, const char* example,
                      Options& options) {
  CLI::App* command = app.add_subcommand(name, what);
  command->footer(std::string("Example:\n  foreplan ") + name + " " + example);
  command->add_flag("--json", options.json, "print one JSON document and nothing else");
  return command;
}

void add_batch(CLI::App* command, std::int64_t& batch) {
  command->add_option("--global-batch", batch, "samples a training step")->required();
}

void add_optimizer(CLI::App* command, std::string& optimizer) {
  command->add_option("--optimizer", optimizer, "sgd (with momentum) or adam")
      ->capture_default_str();
}

void add_cluster(CLI::App* command, std::string& cluster) {
  command->add_option("--cluster", cluster, "cluster: a shipped name or a file")
      ->capture_default_str();
}

void add_profile(CLI::App* command, std::string& profile) {
  command->add_option("--profile", profile, "measured costs, from `foreplan profile`");
}

struct Commands {
  EstimateCommand estimate;
  PlanCommand plan;
  SimulateCommand simulate;
  ShowCommand show;
  ProfileCommand profile;
  RunCommand run;
  ValidateCommand validate;
  CompareCommand compare;
  DevicesCommand devices;
};

void add_forecasting(CLI::App& app, Commands& c, std::ostream& out) {
  CLI::App* estimate = add_command(
      app, "estimate", "Forecast step time and memory of one strategy",
      "mlp-4x1024 --cluster host --strategy dp=2,micro_batch=32 --global-batch 128", c.estimate);
  estimate->add_option("MODEL", c.estimate.model, "a shipped name or a file")->required();
  add_cluster(estimate, c.estimate.cluster);
  estimate->add_option("--strategy", c.estimate.strategy, "dp=2,tp=1,pp=1,micro_batch=16,...");
  add_batch(estimate, c.estimate.global_batch);
  add_optimizer(estimate, c.estimate.optimizer);
  add_profile(estimate, c.estimate.profile);
  estimate->add_option("--trace", c.estimate.trace, "write the step as Chrome trace events");
  estimate->add_option("-o,--output", c.estimate.output,
                       "write the forecast timeline, for `compare`");
  estimate->callback([&] { run_estimate(c.estimate, out); });

  CLI::App* plan = add_command(app, "plan", "Find the fastest strategy that fits",
                               "mnist-mlp --cluster host --global-batch 256 -o plan.json", c.plan);
  plan->add_option("MODEL", c.plan.model, "a shipped name or a file")->required();
  add_cluster(plan, c.plan.cluster);
  add_batch(plan, c.plan.global_batch);
  add_optimizer(plan, c.plan.optimizer);
  add_profile(plan, c.plan.profile);
  plan->add_option("--devices", c.plan.devices, "use at most so many devices of the cluster")
      ->check(CLI::PositiveNumber);
  plan->add_option("--top", c.plan.top, "how many runners-up to show")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  plan->add_option("-o,--output", c.plan.output, "write the plan, for `foreplan run`");
  plan->callback([&] { run_plan(c.plan, out); });

  CLI::App* simulate = add_command(app, "simulate", "Simulate any task graph",
                                   "graph.json --cluster dgx-a100 --trace trace.json", c.simulate);
  simulate->add_option("GRAPH", c.simulate.graph, "a task graph file")->required();
  add_cluster(simulate, c.simulate.cluster);
  add_profile(simulate, c.simulate.profile);
  simulate->add_option("--trace", c.simulate.trace, "write it as Chrome trace events");
  simulate->callback([&] { run_simulate(c.simulate, out); });

  CLI::App* show = add_command(
      app, "show", "Layers, shapes, parameters, FLOPs and bytes of a model", "mnist-mlp", c.show);
  show->add_option("MODEL", c.show.model, "a shipped name or a file")->required();
  show->callback([&] { run_show(c.show, out); });
}

void add_measuring(CLI::App& app, Commands& c, std::ostream& out) {
  CLI::App* profile = add_command(app, "profile", "Measure what things cost on this machine",
                                  "--backend host -o profile.json", c.profile);
  profile->add_option("--backend", c.profile.backend, "host")->capture_default_str();
  profile->add_option("--devices", c.profile.devices, "host devices; default: one a core")
      ->check(CLI::PositiveNumber);
  profile->add_option("--rounds", c.profile.rounds, "measuring rounds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_optimizer(profile, c.profile.optimizer);
  profile->add_option("-o,--output", c.profile.output, "where the profile goes")
      ->capture_default_str();
  profile->callback([&] { run_profile(c.profile, out); });

  CLI::App* run = add_command(app, "run", "Train as a plan says and measure it",
                              "plan.json --backend host --steps 300 -o measurement.json", c.run);
  run->add_option("PLAN", c.run.plan, "a plan file, from `foreplan plan`")->required();
  run->add_option("--backend", c.run.backend, "host")->capture_default_str();
  run->add_option("--steps", c.run.steps, "training steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  run->add_option("--data", c.run.data, "a folder with MNIST's IDX files; default: generated data");
  run->add_option("--learning-rate", c.run.learning_rate, "default: 0.05 for sgd, 0.001 for adam")
      ->check(CLI::PositiveNumber);
  run->add_option("--seed", c.run.seed, "of initialisation and generated data")
      ->capture_default_str();
  run->add_option("--checkpoint", c.run.checkpoint, "a folder to save the state in");
  run->add_flag("--resume", c.run.resume, "go on from the checkpoint");
  run->add_option("-o,--output", c.run.output, "write the measured timeline, for `compare`");
  run->add_option("--trace", c.run.trace, "write the mean step as Chrome trace events");
  run->callback([&] { run_run(c.run, out); });

  CLI::App* validate = add_command(app, "validate", "Profile, plan, run; forecast against measured",
                                   "--backend host", c.validate);
  validate->add_option("--backend", c.validate.backend, "host")->capture_default_str();
  validate->add_option("--rounds", c.validate.rounds, "measuring rounds, at least 5")
      ->check(CLI::Range(5, 1000))
      ->capture_default_str();
  validate->add_option("-o,--output", c.validate.output,
                       "a folder for the profile, the plans and both timelines of each row");
  validate->callback([&] { run_validate(c.validate, out); });

  CLI::App* compare = add_command(app, "compare", "Where two timelines differ, task by task",
                                  "plan.json measured.json", c.compare);
  compare->add_option("FORECAST", c.compare.forecast, "a plan or a timeline file")->required();
  compare->add_option("MEASURED", c.compare.measured, "a timeline file, from `foreplan run -o`")
      ->required();
  compare->add_option("--top", c.compare.top, "how many tasks to show")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  compare->callback([&] { run_compare(c.compare, out); });

  CLI::App* devices =
      add_command(app, "devices", "What this machine has to train on, or why not", "", c.devices);
  devices->callback([&] { run_devices(c.devices, out); });
}

/// CLI11's message without its line breaks: one line for one complaint.
std::string one_line(std::string text) {
  for (char& c : text) c = c == '\n' ? ' ' : c;
  return text;
}

}  // namespace

void run_command_line(int argc, const char* const* argv, std::ostream& out) {
  Commands commands;
  CLI::App app("foreplan forecasts, plans and runs parallel training.", "foreplan");
  app.set_version_flag("--version", std::string("foreplan ") + FOREPLAN_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Example:\n  foreplan plan mnist-mlp --cluster host --global-batch 256\n"
      "Exit status: 0 done, 1 failed, 2 bad input or usage, 3 nothing fits.");
  add_forecasting(app, commands, out);
  add_measuring(app, commands, out);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    // --help and --version: CLI11 prints to the streams that it is given.
    app.exit(asked, out, out);
  } catch (const CLI::ParseError& error) {
    reject(one_line(error.what()) + " (foreplan --help tells the usage)");
  }
}

}  // namespace foreplan
