#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "planner/estimate.hpp"
#include "sim/profile.hpp"
#include "tools/workload.hpp"

namespace foreplan {

/// One strategy of one network, forecast and measured.
struct ValidationRow {
  std::string id;      ///< "mnist-mlp dp=2"
  std::string source;  ///< "host, this machine"
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
  int devices = 2;
  int rounds = 7;
  std::function<void(std::int64_t done, std::int64_t all)> progress{};
};

/// Profiles, plans, runs and compares on host devices: for each of the default workloads one device,
/// data parallelism per batch and per micro-batch, tensor parallelism, GPipe and 1F1B, and what the
/// planner finds best. Measuring rounds of the profile and of the rows take turns; nothing that a
/// row's own runs measured enters its forecast.
Validation validate_host(const ValidationOptions& options);

/// By network and over all.
std::vector<ValidationSummary> summarise(const std::vector<ValidationRow>& rows);

}  // namespace foreplan
