#include "planner/plan_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/json_reader.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

Strategy read_strategy(const std::string& text) {
  const JsonDocument document = JsonDocument::parse(text, "s.json");
  return strategy_from_json(document.value());
}

TEST(StrategyJson, IsUndoneByReading) {
  for (const char* text :
       {"", "dp=8", "tp=2,micro_batch=16", "pp=3,schedule=gpipe,layers=1+2+3",
        "dp=2,tp=3,pp=4,vpp=5,cp=6,ep=7,bp=8,order=pp-dp-cp-tp,micro_batch=8,zero=3,sp=1,"
        "recompute=full,"
        "recompute_layers=2,offload=all,replication=dataparallel,split_from=3,layers=1+1+1+1"}) {
    const Strategy strategy = parse_strategy(text);
    EXPECT_EQ(read_strategy(to_json(strategy).dump()), strategy) << text;
  }
}

TEST(StrategyJson, HasEveryKey) {
  EXPECT_EQ(to_json(Strategy{.dp = 2, .micro_batch = 4, .layers = {3}}),
            Json::parse(R"({"dp": 2, "tp": 1, "pp": 1, "vpp": 1, "cp": 1, "ep": 1, "bp": 1,
                            "order": "tp-cp-dp-pp", "micro_batch": 4,
                            "zero": 0, "sp": false, "recompute": "none",
                            "recompute_layers": null, "offload": "none", "replication": "ddp",
                            "schedule": "1f1b", "split_from": 0,
                            "layers": [3]})"));
  EXPECT_TRUE(to_json(Strategy{})["micro_batch"].is_null());
}

TEST(StrategyJson, TakesTheNeutralValueForKeysLeftOut) {
  EXPECT_EQ(read_strategy("{}"), Strategy{});
  EXPECT_EQ(read_strategy(R"({"dp": 2})"), Strategy{.dp = 2});
}

TEST(StrategyJson, RefusesWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([1])", "s.json: "},
      {R"({"dpp": 2})", "dpp"},
      {R"({"dp": 0})", "s.json: /dp: expected"},
      {R"({"dp": -2})", "s.json: /dp: expected"},
      {R"({"order": "tp-dp"})",
       "s.json: /order: expected each of tp, cp, dp and pp once, joined by '-', got"},
      {R"({"order": 3})", "s.json: /order: expected"},
      {R"({"tp": "2"})", "s.json: /tp: expected"},
      {R"({"pp": 1.5})", "s.json: /pp: expected"},
      {R"({"dp": 1e30})", "s.json: /dp: expected"},
      {R"({"micro_batch": 0})", "s.json: /micro_batch: expected"},
      {R"({"zero": 4})", "s.json: /zero: expected"},
      {R"({"sp": 1})", "s.json: /sp: expected"},
      {R"({"schedule": "zb"})",
       "s.json: /schedule: expected one of gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb-v, dualpipe, "
       "got"},
      {R"({"schedule": "gpipe,dp=2"})",
       "s.json: /schedule: expected one of gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb-v, dualpipe, "
       "got"},
      {R"({"recompute": 1})", "s.json: /recompute: expected"},
      {R"({"layers": 3})", "s.json: /layers: expected"},
      {R"({"layers": [2, 0]})", "s.json: /layers/1: expected"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(complaint([&] { read_strategy(text); }), HasSubstr(message)) << text;
  }
}

/// A plan for mnist-mlp on two devices: a microsecond a task, a second a copy.
struct Planned {
  OpGraph model = mnist_mlp();
  Cluster cluster;
  FakeCostModel costs;
  PlanRequest request{.model = "mnist-mlp",
                      .cluster = "host",
                      .profile = "p.json",
                      .global_batch = 8,
                      .optimizer = Optimizer::adam};
  Plan plan;

  explicit Planned(Bytes memory = 1_GB) : cluster(fake_cluster(2, fake_device(memory))) {
    costs.op = [](const OpKey&) { return Duration{1us}; };
    costs.copy = [](Bytes) { return Duration{1s}; };
    plan = foreplan::plan({model, cluster, costs, 8, Optimizer::adam}, {.top = 3});
  }
  Json json() const { return to_json(request, plan, 0.25); }
};

TEST(PlanJson, CanBeReadAgain) {
  const Planned planned;
  const TemporaryFile file("plan.json", planned.json().dump(2));
  const PlanToRun read = read_plan(file.path());
  EXPECT_EQ(read.request.model, "mnist-mlp");
  EXPECT_EQ(read.request.cluster, "host");
  EXPECT_EQ(read.request.profile, "p.json");
  EXPECT_EQ(read.request.global_batch, 8);
  EXPECT_EQ(read.request.optimizer, Optimizer::adam);
  EXPECT_EQ(read.strategy, planned.plan.best->strategy);
  EXPECT_EQ(read.step_time, planned.plan.best->step_time);
}

// 10 tasks of 1 us on one device; nothing parallel is faster, as copies are dear.
TEST(PlanJson, HasTheKeysThatOthersRelyOn) {
  const Json json = Planned().json();
  EXPECT_EQ(json["schema"], "foreplan.plan/1");
  EXPECT_EQ(json["optimizer"], "adam");
  EXPECT_EQ(json["search_s"], 0.25);
  EXPECT_DOUBLE_EQ(json["one_device_step_time_s"].get<double>(), 1e-5);
  const Json& estimate = json["estimate"];
  EXPECT_DOUBLE_EQ(estimate["step_time_s"].get<double>(), 1e-5);
  EXPECT_EQ(estimate["feasible"], true);
  EXPECT_TRUE(estimate["tokens_per_s"].is_null());
  EXPECT_DOUBLE_EQ(estimate["breakdown"]["compute_s"].get<double>(), 9e-6);
  EXPECT_DOUBLE_EQ(estimate["breakdown"]["optimizer_s"].get<double>(), 1e-6);
  EXPECT_EQ(estimate["breakdown"]["bubble_s"], 0.0);
  EXPECT_EQ(estimate["breakdown"]["exposed_communication_s"], 0.0);
  EXPECT_EQ(estimate["memory"]["stages"][0]["parameter_bytes"], 407'080);
  EXPECT_EQ(estimate["memory"]["stages"][0]["optimizer_bytes"], 814'160);
  EXPECT_EQ(estimate["limited_by"], "compute");
  EXPECT_EQ(estimate["strategy"], json["strategy"]);
  EXPECT_EQ(json["certificate"]["gap"], 0.0);
  EXPECT_EQ(json["certificate"]["lower_bound_s"], json["estimate"]["step_time_s"]);
  EXPECT_EQ(json["certificate"]["simulated"], json["certificate"]["strategies"]);
  EXPECT_EQ(json["alternatives"].size(), 3U);
}

TEST(PlanJson, HasNoStrategyWhereNothingFits) {
  const Json json = Planned(1_KB).json();
  EXPECT_TRUE(json["strategy"].is_null());
  EXPECT_TRUE(json["estimate"].is_null());
  EXPECT_EQ(json["certificate"]["strategies"], json["certificate"]["out_of_memory"]);
  const TemporaryFile file("plan.json", json.dump());
  EXPECT_THAT(file.complaint([&] { read_plan(file.path()); }),
              StartsWith("plan.json: /strategy: expected"));
}

/// The complaint about a plan's file whose text `spoil` has changed.
template <typename Spoil>
std::string complaint_about(Spoil spoil) {
  Json json = Planned().json();
  spoil(json);
  const TemporaryFile file("plan.json", json.dump());
  return file.complaint([&] { read_plan(file.path()); });
}

TEST(ReadPlan, NamesFileAndPlaceOfWhatIsWrong) {
  EXPECT_EQ(complaint_about([](Json&) {}), "");
  EXPECT_THAT(complaint_about([](Json& j) { j["schema"] = "foreplan.model/1"; }),
              HasSubstr("foreplan.plan/1"));
  EXPECT_THAT(complaint_about([](Json& j) { j["colour"] = 1; }),
              AllOf(StartsWith("plan.json: "), HasSubstr("colour")));
  EXPECT_THAT(complaint_about([](Json& j) { j.erase("model"); }),
              AllOf(StartsWith("plan.json: "), HasSubstr("model")));
  EXPECT_THAT(complaint_about([](Json& j) { j.erase("estimate"); }),
              AllOf(StartsWith("plan.json: "), HasSubstr("estimate")));
  EXPECT_THAT(complaint_about([](Json& j) { j["global_batch"] = 0; }),
              StartsWith("plan.json: /global_batch: expected a positive integer, got 0"));
  EXPECT_THAT(complaint_about([](Json& j) { j["optimizer"] = "lion"; }),
              StartsWith("plan.json: /optimizer: expected one of sgd, adam, got"));
  EXPECT_THAT(complaint_about([](Json& j) { j["strategy"]["dp"] = "two"; }),
              StartsWith("plan.json: /strategy/dp: expected"));
  EXPECT_THAT(complaint_about([](Json& j) { j["estimate"]["step_time_s"] = -1; }),
              StartsWith("plan.json: /estimate/step_time_s: expected"));
  EXPECT_THAT(complaint_about([](Json& j) { j["estimate"]["step_time_s"] = 1e300; }),
              StartsWith("plan.json: /estimate/step_time_s: expected at most 9.2e6 s, got"));
}

TEST(ReadPlan, RefusesFilesThatAreMissingOrCutInHalf) {
  const std::string text = Planned().json().dump();
  const TemporaryFile half("plan.json", text.substr(0, text.size() / 2));
  EXPECT_THAT(half.complaint([&] { read_plan(half.path()); }), StartsWith("plan.json"));
  EXPECT_THAT(half.complaint([&] { read_plan(half.path().parent_path() / "none.json"); }),
              StartsWith("none.json"));
}

}  // namespace
}  // namespace foreplan
