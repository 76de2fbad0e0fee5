#include "tools/cli.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <ostream>

#include "sim/error.hpp"
#include "tools/commands.hpp"

namespace foreplan {
namespace {

constexpr int kMost = 1'000'000'000;

/// Whole numbers from `least` to `most`. CLI11's own checks take what is too large for the largest.
CLI::Validator whole_number(std::int64_t least, std::int64_t most = kMost) {
  const auto check = [=](std::string& text) -> std::string {
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc() && rest == end && number >= least && number <= most) return {};
    return fmt::format("expected a whole number from {} to {}, got '{}'", least, most, text);
  };
  return {check, "", "whole number"};
}

/// Numbers above 0, or from 0 on.
CLI::Validator positive_number(bool or_zero = false) {
  const auto check = [or_zero](std::string& text) -> std::string {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    const bool read = error == std::errc() && rest == end && std::isfinite(number);
    if (read && (number > 0 || (or_zero && number == 0))) return {};
    return fmt::format("expected a number {} 0, got '{}'", or_zero ? ">=" : ">", text);
  };
  return {check, "", "positive number"};
}

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
  command->add_option("--global-batch", batch, "samples a training step")
      ->required()
      ->check(whole_number(1, std::numeric_limits<std::int64_t>::max()));
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

/// What is trained, on what, and what is known of its costs.
void add_task(CLI::App* command, TaskOptions& task) {
  command->add_option("MODEL", task.model, "a shipped name or a file")->required();
  add_cluster(command, task.cluster);
  add_batch(command, task.global_batch);
  command
      ->add_option("--optimizer", task.optimizer,
                   "sgd (with momentum) or adam; auto: sgd for what runs here, else adam")
      ->capture_default_str();
  command->add_option("--seq", task.sequence, "tokens of a sample, where it has tokens")
      ->check(whole_number(1));
  command
      ->add_option("--target-seq", task.target_sequence,
                   "tokens that a decoder behind an encoder writes; as many by default")
      ->check(whole_number(1));
  command
      ->add_option("--precision", task.precision,
                   "fp32, tf32, fp16, bf16, fp8; auto: fp32 for what runs here, else bf16 or fp16")
      ->capture_default_str();
  command->add_option("--stack", task.stack,
                      "the software that trains: a shipped name or a file (folded forecasts)");
  command
      ->add_option("--collectives", task.collectives,
                   "ring, tree, ...; auto: each by what it costs (folded forecasts)")
      ->capture_default_str();
  add_profile(command, task.profile);
}

/// What a plan is for, beside the fastest step.
void add_goal(CLI::App* command, GoalOptions& goal) {
  command
      ->add_option("--objective", goal.objective,
                   "time, cost (fewest device hours) or devices (fewest for the deadline)")
      ->capture_default_str();
  command->add_option("--tokens", goal.tokens, "tokens to train, as 15e12")
      ->check(positive_number());
  command->add_option("--samples", goal.samples, "samples to train")->check(positive_number());
  command->add_option("--price-per-device-hour", goal.price, "in any currency")
      ->check(positive_number());
  command->add_option("--deadline", goal.deadline, "of the training: 90s, 36h, 30d");
  command->add_flag("--explain", goal.explain,
                    "why this plan, the runner-up, and what 20 % more of something would bring");
}

void add_backend(CLI::App* command, std::string& backend) {
  command->add_option("--backend", backend, "host or cuda")->capture_default_str();
}

void add_disturbance(CLI::App* command, Disturbance& told) {
  command->add_option("--slow", told.slow,
                      "DEVICE:FACTOR, as 3:1.3: its compute takes so many times as long");
  command
      ->add_option("--jitter", told.jitter,
                   "vary how long tasks take, as 0.05: by this deviation, in many runs")
      ->check(positive_number());
  command->add_option("--runs", told.runs, "runs with jitter")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", told.seed, "of the jitter")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
}

struct Commands {
  EstimateCommand estimate;
  SpeedupCommand speedup;
  PlanCommand plan;
  SimulateCommand simulate;
  ListCommand list;
  ShowCommand show;
  ProfileCommand profile;
  RunCommand run;
  ValidateCommand validate;
  CompareCommand compare;
  DevicesCommand devices;
  PublishedCommand published;
  CalibrateCommand calibrate;
  FitLinksCommand fit_links;
};

void add_forecasting(CLI::App& app, Commands& c, std::ostream& out) {
  CLI::App* estimate = add_command(
      app, "estimate", "Forecast step time and memory of one strategy",
      "mlp-4x1024 --cluster host --strategy dp=2,micro_batch=32 --global-batch 128", c.estimate);
  add_task(estimate, c.estimate.task);
  estimate->add_option("--strategy", c.estimate.strategy, "dp=2,tp=1,pp=1,micro_batch=16,...");
  add_disturbance(estimate, c.estimate.disturbance);
  estimate->add_option("--trace", c.estimate.trace, "write the step as Chrome trace events");
  estimate->add_option("-o,--output", c.estimate.output,
                       "write the forecast timeline, for `compare`");
  estimate->callback([&] { run_estimate(c.estimate, out); });

  CLI::App* speedup =
      add_command(app, "speedup", "Every family of strategy, side by side on 1, 2, 4, ... devices",
                  "gpt3-175b --cluster dgx-a100x64 --global-batch 512 --seq 2048", c.speedup);
  add_task(speedup, c.speedup.task);
  speedup->add_option("--devices", c.speedup.devices, "use at most so many devices of the cluster")
      ->check(whole_number(1));
  speedup
      ->add_option("--families", c.speedup.families,
                   "only these, as zero-3,tensor,hybrid; default: all")
      ->delimiter(',');
  speedup->callback([&] { run_speedup(c.speedup, out); });

  CLI::App* plan = add_command(app, "plan", "Find the fastest strategy that fits, with proof",
                               "gpt3-175b --cluster dgx-a100x64 --global-batch 512", c.plan);
  add_task(plan, c.plan.task);
  plan->add_option("--devices", c.plan.devices, "use at most so many devices of the cluster")
      ->check(whole_number(1));
  plan->add_option("--top", c.plan.top, "how many runners-up to show")
      ->check(whole_number(0))
      ->capture_default_str();
  plan->add_flag("--exhaustive", c.plan.exhaustive, "simulate every strategy of the space");
  plan->add_option("--gap", c.plan.gap,
                   "enough: a plan at most so much above the lower bound, 0.01 for 1 %")
      ->check(positive_number(true));
  plan->add_option("--time-limit", c.plan.time_limit,
                   "stop with what is found after so long, as 5s");
  plan->add_option("--threads", c.plan.threads,
                   "default: one a core; any number gives the same plan")
      ->check(whole_number(1, 1024));
  add_goal(plan, c.plan.goal);
  plan->add_option("-o,--output", c.plan.output, "write the plan, for `foreplan run`");
  plan->callback([&] { run_plan(c.plan, out); });

  CLI::App* simulate = add_command(app, "simulate", "Simulate any task graph",
                                   "graph.json --cluster dgx-a100 --trace trace.json", c.simulate);
  simulate->add_option("GRAPH", c.simulate.graph, "a task graph file")->required();
  add_cluster(simulate, c.simulate.cluster);
  add_profile(simulate, c.simulate.profile);
  simulate->add_option("--trace", c.simulate.trace, "write it as Chrome trace events");
  add_disturbance(simulate, c.simulate.disturbance);
  simulate->callback([&] { run_simulate(c.simulate, out); });

  CLI::App* list = add_command(app, "list", "What is shipped, with its key numbers and sources",
                               "clusters", c.list);
  list->add_option("WHAT", c.list.what, "models, devices, clusters or stacks")->required();
  list->add_flag("--markdown", c.list.markdown, "print a Markdown table");
  list->callback([&] { run_list(c.list, out); });

  CLI::App* show = add_command(app, "show", "A model layer by layer, a cluster or a device",
                               "mnist-mlp", c.show);
  show->add_option("NAME", c.show.name, "a shipped model, cluster or device, or a file")
      ->required();
  show->add_option("--kind", c.show.kind, "model, cluster or device; default: the first that fits");
  show->add_option("--seq", c.show.tokens,
                   "tokens a sample; default: 2048, or as many as a model has positions")
      ->check(whole_number(1, 10'000'000));
  show->callback([&] { run_show(c.show, out); });
}

void add_measuring(CLI::App& app, Commands& c, std::ostream& out) {
  CLI::App* profile = add_command(app, "profile", "Measure what things cost on this machine",
                                  "--backend host -o profile.json", c.profile);
  add_backend(profile, c.profile.backend);
  profile
      ->add_option("--devices", c.profile.devices,
                   "default: one a core, one a GPU; more than GPUs: logical ones")
      ->check(whole_number(1));
  profile->add_flag("--quick", c.profile.quick, "cuda: a small grid of shapes");
  profile->add_option("--cluster-output", c.profile.cluster_output,
                      "cuda: write devices and links as a cluster file");
  profile->add_option("--rounds", c.profile.rounds, "measuring rounds")
      ->check(whole_number(1))
      ->capture_default_str();
  add_optimizer(profile, c.profile.optimizer);
  profile->add_option("-o,--output", c.profile.output, "where the profile goes")
      ->capture_default_str();
  profile->callback([&] { run_profile(c.profile, out); });

  CLI::App* run = add_command(app, "run", "Train as a plan says and measure it",
                              "plan.json --backend host --steps 300 -o measurement.json", c.run);
  run->add_option("PLAN", c.run.plan, "a plan file, from `foreplan plan`")->required();
  add_backend(run, c.run.backend);
  run->add_flag("--cuda-graph", c.run.cuda_graph, "cuda: launch each step as one CUDA graph");
  run->add_option("--steps", c.run.steps, "training steps")
      ->check(whole_number(1))
      ->capture_default_str();
  run->add_option("--data", c.run.data, "a folder with MNIST's IDX files; default: generated data");
  run->add_option("--learning-rate", c.run.learning_rate, "default: 0.05 for sgd, 0.001 for adam")
      ->check(positive_number());
  run->add_option("--seed", c.run.seed, "of initialisation and generated data")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
  run->add_option("--checkpoint", c.run.checkpoint, "a folder to save the state in");
  run->add_flag("--resume", c.run.resume, "go on from the checkpoint");
  run->add_option("-o,--output", c.run.output, "write the measured timeline, for `compare`");
  run->add_option("--trace", c.run.trace, "write the mean step as Chrome trace events");
  run->callback([&] { run_run(c.run, out); });

  CLI::App* validate = add_command(app, "validate", "Profile, plan, run; forecast against measured",
                                   "--backend host", c.validate);
  add_backend(validate, c.validate.backend);
  validate
      ->add_option("--devices", c.validate.devices,
                   "default: two on the host, four on GPUs; more than GPUs: logical ones")
      ->check(whole_number(1));
  validate->add_option("--rounds", c.validate.rounds, "measuring rounds, at least 5")
      ->check(whole_number(5, 1000))
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
      ->check(whole_number(1))
      ->capture_default_str();
  compare->callback([&] { run_compare(c.compare, out); });

  CLI::App* published = add_command(app, "published", "Forecast what others measured and published",
                                    "--split test", c.published);
  published->add_option("DIR", c.published.folder, "a folder of rows; default: those shipped");
  published->add_option("--split", c.published.split, "fit, test or all: whose errors are told")
      ->capture_default_str();
  published->add_flag("--markdown", c.published.markdown, "print Markdown tables");
  published->callback([&] { run_published(c.published, out); });

  CLI::App* calibrate =
      add_command(app, "calibrate", "Fit what kernels and hosts reach on the published fit rows",
                  "--family a100", c.calibrate);
  calibrate->add_option("--family", c.calibrate.family, "of calibration.json; default: all");
  calibrate->add_option("-o,--output", c.calibrate.output,
                        "a folder for the fitted device and stack files");
  calibrate->add_option("--date", c.calibrate.date, "to stand in these files");
  calibrate->callback([&] { run_calibrate(c.calibrate, out); });

  CLI::App* fit_links = add_command(
      app, "fit-links", "What links reach, fitted on measured collectives", "", c.fit_links);
  fit_links->add_option("FILE", c.fit_links.file, "measured collectives; default: those shipped");
  fit_links->callback([&] { run_fit_links(c.fit_links, out); });

  CLI::App* devices =
      add_command(app, "devices", "What this machine has to train on, or why not", "", c.devices);
  devices->callback([&] { run_devices(c.devices, out); });
}

/// What was wrong where no command was found.
std::string no_command(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return fmt::format("{}expected one of {}",
                     argc > 1 ? fmt::format("no command '{}': ", argv[1]) : "no command: ",
                     fmt::join(names, ", "));
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
    if (app.get_subcommands().empty()) {
      reject(no_command(app, argc, argv) + " (foreplan --help tells the usage)");
    }
    reject(one_line(error.what()) + " (foreplan --help tells the usage)");
  }
}

}  // namespace foreplan
