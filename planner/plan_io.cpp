#include "planner/plan_io.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "sim/error.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

Json breakdown_json(const DeviceTime& time) {
  return {{"compute_s", seconds(time.compute)},
          {"exposed_communication_s", seconds(time.exposed_communication)},
          {"bubble_s", seconds(time.idle)},
          {"optimizer_s", seconds(time.optimizer)}};
}

Json stage_json(const StageMemory& stage) {
  return {{"stage", stage.stage},
          {"peak_bytes", stage.peak.count},
          {"parameter_bytes", stage.parameters.count},
          {"gradient_bytes", stage.gradients.count},
          {"optimizer_bytes", stage.optimizer.count},
          {"activation_bytes", stage.activations.count},
          {"buffer_bytes", stage.buffers.count},
          {"reserved_bytes", stage.reserved ? Json(stage.reserved->count) : Json()}};
}

int size_of(JsonObject& object, const char* key) {
  const auto value = object.optional(key);
  return value ? static_cast<int>(value->integer(1, 1'000'000'000)) : 1;
}

/// The one of `kinds` that the text of `value` names.
template <typename Kinds>
typename Kinds::value_type named(const JsonValue& value, const Kinds& kinds) {
  const std::string text = value.text();
  std::vector<std::string_view> names;
  for (const auto kind : kinds) {
    if (text == name(kind)) return kind;
    names.push_back(name(kind));
  }
  value.expected(fmt::format("one of {}", fmt::join(names, ", ")));
}

RankOrder order_from(const JsonValue& value) {
  try {
    return parse_rank_order(value.text());
  } catch (const Error&) {
    value.expected("each of tp, cp, dp and pp once, joined by '-'");
  }
}

}  // namespace

Json to_json(const Strategy& strategy) {
  Json json{{"dp", strategy.dp}, {"tp", strategy.tp}, {"pp", strategy.pp}, {"vpp", strategy.vpp},
            {"cp", strategy.cp}, {"ep", strategy.ep}, {"bp", strategy.bp}};
  json["order"] = format(strategy.order);
  json["micro_batch"] = strategy.micro_batch ? Json(*strategy.micro_batch) : Json(nullptr);
  json["zero"] = strategy.zero;
  json["sp"] = strategy.sp;
  json["recompute"] = name(strategy.recompute);
  json["recompute_layers"] =
      strategy.recompute_layers ? Json(*strategy.recompute_layers) : Json(nullptr);
  json["offload"] = name(strategy.offload);
  json["replication"] = name(strategy.replication);
  json["schedule"] = name(strategy.schedule);
  json["split_from"] = strategy.split_from;
  json["layers"] = strategy.layers;
  return json;
}

Strategy strategy_from_json(const JsonValue& value) {
  JsonObject object = value.object();
  Strategy strategy;
  strategy.dp = size_of(object, "dp");
  strategy.tp = size_of(object, "tp");
  strategy.pp = size_of(object, "pp");
  strategy.vpp = size_of(object, "vpp");
  strategy.cp = size_of(object, "cp");
  strategy.ep = size_of(object, "ep");
  strategy.bp = size_of(object, "bp");
  if (const auto order = object.optional("order")) strategy.order = order_from(*order);
  const auto micro_batch = object.optional("micro_batch");
  if (micro_batch && !micro_batch->is_null()) {
    strategy.micro_batch = micro_batch->positive_integer();
  }
  if (const auto zero = object.optional("zero")) {
    strategy.zero = static_cast<int>(zero->integer(0, 3));
  }
  if (const auto sp = object.optional("sp")) strategy.sp = sp->boolean();
  if (const auto recompute = object.optional("recompute")) {
    strategy.recompute = named(*recompute, kRecomputes);
  }
  const auto recompute_layers = object.optional("recompute_layers");
  if (recompute_layers && !recompute_layers->is_null()) {
    strategy.recompute_layers = static_cast<int>(recompute_layers->integer(0, 1'000'000));
  }
  if (const auto offload = object.optional("offload")) {
    strategy.offload = named(*offload, kOffloads);
  }
  if (const auto replication = object.optional("replication")) {
    strategy.replication = named(*replication, kReplications);
  }
  if (const auto schedule = object.optional("schedule")) {
    strategy.schedule = named(*schedule, kSchedules);
  }
  if (const auto split_from = object.optional("split_from")) {
    strategy.split_from = static_cast<int>(split_from->integer(0, 1'000'000));
  }
  if (const auto layers = object.optional("layers")) {
    for (const JsonValue& count : layers->array()) {
      strategy.layers.push_back(static_cast<int>(count.integer(1, 1'000'000)));
    }
  }
  object.finish();
  return strategy;
}

Json to_json(const Estimate& estimate) {
  Json json{{"feasible", estimate.feasible},
            {"step_time_s", seconds(estimate.step_time)},
            {"samples_per_s", estimate.samples_per_s},
            {"tokens_per_s", estimate.tokens_per_s > 0 ? Json(estimate.tokens_per_s) : Json()},
            {"mfu", estimate.mfu},
            {"hfu", estimate.hfu},
            {"breakdown", breakdown_json(estimate.breakdown)}};
  Json stages = Json::array();
  for (const StageMemory& stage : estimate.stages) stages.push_back(stage_json(stage));
  json["memory"] = {{"peak_bytes", estimate.peak_memory.count}, {"stages", std::move(stages)}};
  json["tasks"] = estimate.tasks;
  json["limited_by"] = name(estimate.limited_by);
  json["strategy"] = to_json(estimate.strategy);
  return json;
}

Json to_json(const PlanRequest& request, const Plan& plan, double search_s) {
  Json json{{"schema", "foreplan.plan/1"},
            {"model", request.model},
            {"cluster", request.cluster},
            {"profile", request.profile.empty() ? Json(nullptr) : Json(request.profile)},
            {"global_batch", request.global_batch},
            {"optimizer", name(request.optimizer)}};
  json["strategy"] = plan.best ? to_json(plan.best->strategy) : Json(nullptr);
  json["estimate"] = plan.best ? to_json(*plan.best) : Json(nullptr);
  const Certificate& c = plan.certificate;
  json["certificate"] = {{"strategies", c.strategies},
                         {"out_of_memory", c.out_of_memory},
                         {"bounded_out", c.bounded_out},
                         {"simulated", c.simulated},
                         {"open", c.open},
                         {"lower_bound_s", seconds(c.lower_bound)},
                         {"gap", std::isfinite(c.gap) ? Json(c.gap) : Json()}};
  json["search_s"] = search_s;
  json["one_device_step_time_s"] = seconds(plan.one_device.step_time);
  json["alternatives"] = Json::array();
  for (const Estimate& other : plan.alternatives) json["alternatives"].push_back(to_json(other));
  return json;
}

PlanToRun read_plan(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("plan");
  PlanToRun plan;
  plan.request.model = root.required("model").text();
  plan.request.cluster = root.required("cluster").text();
  const auto profile = root.optional("profile");
  if (profile && !profile->is_null()) plan.request.profile = profile->text();
  plan.request.global_batch = root.required("global_batch").positive_integer();
  plan.request.optimizer =
      named(root.required("optimizer"), std::array{Optimizer::sgd, Optimizer::adam});
  plan.strategy = strategy_from_json(root.required("strategy"));
  JsonObject estimate = root.required("estimate").object();
  const JsonValue step_time = estimate.required("step_time_s");
  constexpr double kLongest = 9.2e6;  // [s]; what a Duration holds
  if (step_time.number(0) > kLongest) step_time.expected("at most 9.2e6 s");
  plan.step_time = duration_from_seconds(step_time.number());
  // The rest explains the plan to its readers; running needs none of it.
  for (const char* key : {"certificate", "search_s", "one_device_step_time_s", "alternatives",
                          "training", "explanation"}) {
    root.optional(key);
  }
  root.finish();
  return plan;
}

}  // namespace foreplan
