#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/published.hpp"
#include "planner/estimate.hpp"
#include "planner/folded_step.hpp"
#include "tools/published_tables.hpp"

namespace foreplan {

/// A row and what was forecast for it.
struct PublishedForecast {
  PublishedRow row;
  std::string source;  ///< name of the row's file
  std::string device;  ///< name of its kind
  bool fit = false;    ///< constants may be fitted on it
  Estimate estimate;
  /// What the row does not tell and a rule of docs/published.md gave: "recompute", "network", ...
  std::vector<std::string> assumed;
  bool memory_told = false;  ///< of the GPU: whether the run fits can be judged
  /// What stands against the row's memory, by its kind: allocated, reserved, or what nvidia-smi shows.
  std::optional<Bytes> memory{};

  std::optional<double> measured_s() const { return row.step_time_s(); }
  /// forecast / measured - 1; empty where no time was measured.
  std::optional<double> error() const;
  std::optional<double> memory_error() const;
  /// Of a row that ran out of memory: whether the forecast says so too.
  bool right_about_memory() const { return !estimate.feasible; }
  /// The share of the devices' peak that the model's FLOPs in the measured time are.
  std::optional<double> measured_mfu() const;
};

struct PublishedSkip {
  std::string id, source, reason;
};

struct PublishedRecord {
  std::vector<PublishedForecast> rows;
  std::vector<PublishedSkip> skipped;
};

/// Turns rows into forecasts by the rules of docs/published.md, which say what stands in for what a row
/// does not tell. Networks and clusters are built once each.
class PublishedForecaster {
 public:
  /// @param tables  the folder of hardware.json, sources.json and split.json
  PublishedForecaster(const std::filesystem::path& tables, const CostModel& costs);
  ~PublishedForecaster();

  /// @throws Error(invalid_argument) with the reason where the row lacks something or cannot be laid out
  PublishedForecast forecast(const PublishedRow& row, const std::string& source);

  /// Whether constants may be fitted on the row.
  bool fits(const std::string& source, const PublishedRow& row) const {
    return split_.fits(source, row);
  }
  /// Whether its step time was put together from layers that were timed apart (PublishedSource).
  bool layers_timed_apart(const std::string& source, const PublishedRow& row) const;
  /// The name of the row's device; empty: hardware.json does not have it.
  std::string device_of(const PublishedRow& row) const;
  /// From now on these stand for the shipped ones of their names.
  void replace_device(const DeviceSpec& device);
  void replace_stack(Stack stack);

 private:
  const Cluster& cluster_of(const PublishedRow& row, std::vector<std::string>& assumed);
  const OpGraph& model_of(const PublishedRow& row, const PublishedSource& facts, int tp);
  const Stack& stack_of(const PublishedSource& facts);
  const Stack& named_stack(const PublishedSource& facts);
  const CostModel& costs_of(const PublishedSource& facts);
  static std::optional<Bytes> memory_of(const PublishedRow& row, const FoldedStep& step);
  /// @param told  recomputation, as the row or its source tells
  void estimate(const Task& task, Strategy strategy, std::optional<Recompute> told,
                PublishedForecast& result) const;
  static Strategy least_recomputed(const Task& task, Strategy strategy);

  const CostModel& costs_;
  PublishedHardware hardware_;
  PublishedSources sources_;
  PublishedSplit split_;
  std::map<std::string, DeviceSpec> devices_;
  std::map<std::string, std::unique_ptr<Cluster>> clusters_;
  std::map<std::string, std::unique_ptr<OpGraph>> models_;
  std::map<std::string, Stack> stacks_;
  std::map<std::string, Stack> stacks_apart_;  ///< PublishedSource::layers_timed_apart
  std::map<std::string, std::unique_ptr<CostModel>> profiles_;
};

/// Forecasts every row of every file of rows in `folder`, in the order of names.
/// @throws Error(invalid_argument) if a file is broken or there is none
PublishedRecord forecast_published(const std::filesystem::path& folder,
                                   PublishedForecaster& forecaster);

}  // namespace foreplan
