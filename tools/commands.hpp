#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "sim/cost_model.hpp"
#include "tools/disturbance.hpp"
#include "tools/loaded_task.hpp"
#include "tools/plan_goal.hpp"

namespace foreplan {

/// What the commands are told on the command line, and the commands. Each writes its result to `out`
/// and throws Error; only main prints and exits. Files are named as the user named them.

struct EstimateCommand {
  TaskOptions task;
  std::string strategy, trace, output;
  Disturbance disturbance{};
  bool json = false;
};
void run_estimate(const EstimateCommand& command, std::ostream& out);

struct SpeedupCommand {
  TaskOptions task;
  std::vector<std::string> families;  ///< empty: all
  int devices = 0;
  bool json = false;
};
void run_speedup(const SpeedupCommand& command, std::ostream& out);

struct PlanCommand {
  TaskOptions task;
  std::string output;
  int devices = 0;
  int top = 10;
  int threads = 0;  ///< 0: one a core
  bool exhaustive = false;
  double gap = 0;
  std::string time_limit;  ///< "5s"; empty: none
  GoalOptions goal{};
  bool json = false;
};
void run_plan(const PlanCommand& command, std::ostream& out);

struct SimulateCommand {
  std::string graph, cluster = "host", profile, trace;
  Disturbance disturbance{};
  bool json = false;
};
void run_simulate(const SimulateCommand& command, std::ostream& out);

struct ListCommand {
  std::string what;
  bool json = false, markdown = false;
};
void run_list(const ListCommand& command, std::ostream& out);

struct ShowCommand {
  std::string name;  ///< of a model, a cluster or a device, or a file of one
  std::string kind;  ///< model, cluster or device; empty: the first of these that has the name
  std::int64_t tokens = 0;  ///< a sample of a model has; 0: lengths_to_show
  bool json = false;
};
void run_show(const ShowCommand& command, std::ostream& out);

struct ProfileCommand {
  std::string backend = "host", output = "profile.json", optimizer = "sgd";
  std::string cluster_output;  ///< cuda
  int devices = 0;             ///< 0: one a core, one a GPU
  int rounds = 3;
  bool quick = false;  ///< cuda
  bool json = false;
};
void run_profile(const ProfileCommand& command, std::ostream& out);

struct RunCommand {
  std::string plan, backend = "host", data, checkpoint, output, trace;
  int steps = 200;
  double learning_rate = 0;  ///< 0: the optimizer's usual one
  std::uint64_t seed = 1;
  bool resume = false;
  bool cuda_graph = false;
  bool json = false;
};
void run_run(const RunCommand& command, std::ostream& out);

struct ValidateCommand {
  std::string backend = "host", output;
  int devices = 0;  ///< 0: two on the host, four logical ones on GPUs
  int rounds = 7;
  bool json = false;
};
void run_validate(const ValidateCommand& command, std::ostream& out);

struct CompareCommand {
  std::string forecast, measured;
  int top = 20;
  bool json = false;
};
void run_compare(const CompareCommand& command, std::ostream& out);

struct PublishedCommand {
  std::string folder;         ///< of rows; empty: those that are shipped
  std::string split = "all";  ///< fit, test or all
  bool json = false, markdown = false;
};
void run_published(const PublishedCommand& command, std::ostream& out);

struct CalibrateCommand {
  std::string family;  ///< of models/published/calibration.json; empty: all
  std::string output;  ///< a folder for device and stack files; empty: only printed
  std::string date;    ///< told in the files
  bool json = false;
};
void run_calibrate(const CalibrateCommand& command, std::ostream& out);
struct FitLinksCommand {
  std::string file;  ///< of measured collectives; empty: those that are shipped
  bool json = false;
};
void run_fit_links(const FitLinksCommand& command, std::ostream& out);

struct DevicesCommand {
  bool json = false;
};
void run_devices(const DevicesCommand& command, std::ostream& out);

/// The cost model that a `--profile` names, or data sheets where it is empty.
std::unique_ptr<CostModel> load_costs(const std::string& profile);

}  // namespace foreplan
