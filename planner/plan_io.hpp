#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "planner/estimate.hpp"
#include "planner/search.hpp"

namespace foreplan {

class JsonValue;

/// The keys of design's `strategy{}`: every one, defaults included.
nlohmann::ordered_json to_json(const Strategy& strategy);
/// @throws Error(invalid_argument) naming file and place
Strategy strategy_from_json(const JsonValue& value);

/// The keys of `estimate --json`, as docs/formats.md tells them.
nlohmann::ordered_json to_json(const Estimate& estimate);

/// What was planned: `foreplan.plan/1`, enough to run it.
struct PlanRequest {
  std::string model;    ///< as the user named it: shipped name or file
  std::string cluster;  ///< likewise
  std::string profile;  ///< likewise; empty: none
  std::int64_t global_batch = 0;
  Optimizer optimizer = Optimizer::sgd;
};

/// A plan's file: the request, the chosen strategy, its estimate, the certificate and the runners-up.
/// @param search_s  how long the search took [s]
nlohmann::ordered_json to_json(const PlanRequest& request, const Plan& plan, double search_s);

/// What `run` needs of a plan's file.
struct PlanToRun {
  PlanRequest request;
  Strategy strategy;
  Duration step_time{};  ///< forecast
};

/// @throws Error(invalid_argument) naming file and place
PlanToRun read_plan(const std::filesystem::path& path);

}  // namespace foreplan
