#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "planner/estimate.hpp"
#include "sim/profile.hpp"
#include "tools/machine.hpp"
#include "tools/workload.hpp"

namespace foreplan {

/// One strategy of one network, forecast and measured.
struct ValidationRow {
  std::string id;      ///< "mnist-mlp dp=2"
  std::string source;  ///< what it ran on: "host, this machine", "4 logical devices on 1 GPU"
  Workload workload;
  Strategy strategy;
  Estimate forecast;
  Sample measured;
  Bytes measured_bytes;  ///< the largest arena that the runtime reserved
  TaskGraph graph;
  Timeline forecast_timeline;
  Timeline measured_timeline;  ///< the mean of every task's start and finish
  double error() const;        ///< forecast / measured - 1
};

/// A strategy that was not run.
struct SkippedRow {
  std::string id, reason;
};

/// Rows of one network together.
struct ValidationSummary {
  std::string source;  ///< the network
  std::int64_t rows = 0;
  double mape = 0;      ///< mean of |error|
  double max = 0;       ///< largest |error|
  double bias = 0;      ///< mean of error
  double spearman = 0;  ///< rank correlation of forecast and measured
  /// Measured time of the row that is forecast fastest over that of the fastest measured, minus 1.
  double regret = 0;
};

struct Validation {
  Profile profile;
  std::vector<ValidationRow> rows;
  std::vector<SkippedRow> skipped;
  std::vector<ValidationSummary> summary;  ///< by network, then "all"
};

struct ValidationOptions {
  std::vector<Workload> workloads = default_workloads();
  int rounds = 7;
  ProfilingOptions turns{};  ///< of the profile
  /// Of the rows, and of the profile that plans are made with.
  ProfilingOptions row_turns{.turn = std::chrono::milliseconds(150), .least_steps = 5};
  ProfilingOptions first_turns{.turn = std::chrono::milliseconds(20)};
  std::function<void(std::int64_t done, std::int64_t all)> progress{};
};

/// Profiles, plans, runs and compares on a machine: for each workload one device, data parallelism per
/// batch and per micro-batch, tensor parallelism, GPipe and 1F1B, on two devices and, where there are
/// four, on those, and what the planner finds best. Measuring rounds of the profile and of the rows take
/// turns; nothing that a row's own runs measured enters its forecast.
Validation validate(Machine& machine, const ValidationOptions& options);

/// By network and over all.
std::vector<ValidationSummary> summarise(const std::vector<ValidationRow>& rows);

}  // namespace foreplan
