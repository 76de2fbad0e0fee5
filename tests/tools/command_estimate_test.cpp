#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> gpt2(const std::string& strategy, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"estimate",       "gpt2", "--cluster",  "dgx-a100x2",
                                 "--global-batch", "64",   "--strategy", strategy,
                                 "--seq",          "1024"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// Under data sheets no device does more than its peak: with the FLOPs of GPT-2's step, 64 samples of 1024
// tokens, 72 b s L h^2 (1 + s / 6h + V / 12Lh), mfu times devices times peak times the step is those FLOPs.
TEST(EstimateCommand, ForecastsATransformer) {
  const Json json = expect_done(gpt2("dp=4,tp=2,pp=2,micro_batch=4", {"--json"})).json();
  const double step = json["step_time_s"].get<double>();
  const double flops =
      72.0 * 64 * 1024 * 12 * 768 * 768 * (1 + 1024.0 / (6 * 768) + 50257.0 / (12 * 12 * 768));
  EXPECT_NEAR(json["mfu"].get<double>() * 16 * 312e12 * step / flops, 1, 1e-9);
  EXPECT_LT(json["mfu"].get<double>(), 1);
  EXPECT_NEAR(json["tokens_per_s"].get<double>(), 64 * 1024 / step, 1e-6 * 64 * 1024 / step);
  EXPECT_EQ(json["strategy"]["layers"], Json({6, 6}));
  double parts = 0;
  for (const auto& [name, seconds] : json["breakdown"].items()) parts += seconds.get<double>();
  EXPECT_NEAR(parts, step, 1e-9);
}

TEST(EstimateCommand, WritesATraceOfAFoldedStep) {
  const CommandFolder folder;
  expect_done(gpt2("dp=4,pp=4,vpp=3,micro_batch=4", {"--trace", folder.path("trace.json")}));
  const Json trace = Json::parse(folder.read("trace.json"));
  // 4 stages of 3 chunks, 4 micro-batches, forward and backward: 96 spans at least.
  int spans = 0;
  for (const Json& event : trace["traceEvents"]) spans += event["ph"] == "X" ? 1 : 0;
  EXPECT_GE(spans, 96);
}

TEST(EstimateCommand, SaysHowManyTokensItNeeds) {
  expect_complaint(
      run_command({"estimate", "gpt2", "--cluster", "dgx-a100", "--global-batch", "8"}), 2,
      {"--seq", "gpt2 reads tokens"});
  expect_complaint(run_command({"estimate", "resnet50", "--cluster", "dgx-a100", "--global-batch",
                                "8", "--seq", "16"}),
                   2, {"--seq", "resnet50 reads no tokens"});
  expect_complaint(run_command(gpt2("dp=1", {"--precision", "int3"})), 2,
                   {"--precision: expected auto, fp32", "'int3'"});
}

// Chance is seeded; the slowest of 16 replicas is slower than the step without chance.
TEST(EstimateCommand, RunsManyTimesWithJitter) {
  const auto jitter = [](const char* seed) {
    const std::vector<std::string> more{"--json", "--jitter", "0.05", "--runs",
                                        "20",     "--seed",   seed};
    return expect_done(gpt2("dp=16,micro_batch=1", more)).json();
  };
  const Json json = jitter("3");
  EXPECT_GT(json["jitter"]["p50_s"].get<double>(), json["step_time_s"].get<double>());
  EXPECT_EQ(json["jitter"]["runs"], 20);
  EXPECT_EQ(jitter("3"), json);
  EXPECT_NE(jitter("4")["jitter"], json["jitter"]);
}

// Networks whose layers alternate between two classes are cut like others. T5's decoder reads its encoder from
// every layer: of 6 layers, the last norm, the decoder's embedding and 6 layers, it can be cut in 7 places.
TEST(EstimateCommand, CutsAlternatingLayersIntoStages) {
  const auto words = [](const char* model, const char* strategy = "pp=2,dp=4,micro_batch=1") {
    return std::vector<std::string>{"estimate",       model,    "--cluster", "dgx-a100x2",
                                    "--global-batch", "64",     "--seq",     "512",
                                    "--strategy",     strategy, "--json"};
  };
  EXPECT_EQ(expect_done(words("gemma2-9b")).json()["strategy"]["layers"], Json({21, 21}));
  EXPECT_EQ(expect_done(words("gpt-neo-1.3b")).json()["strategy"]["layers"], Json({12, 12}));
  EXPECT_EQ(expect_done(words("t5-small")).json()["strategy"]["layers"], Json({7, 7}));
  EXPECT_EQ(expect_done(words("t5-small", "pp=8,micro_batch=1")).json()["strategy"]["layers"],
            Json({1, 1, 1, 1, 1, 1, 1, 7}));
  expect_complaint(run_command(words("t5-small", "pp=9,micro_batch=1")), 2,
                   {"cannot be cut into 9 stages", "one tensor only"});
  expect_complaint(run_command(words("t5-small", "pp=2,dp=4,micro_batch=1,layers=8+6")), 2,
                   {"more than one tensor crosses"});
}

// Gradients that are not aggregated beside backward are aggregated behind it.
TEST(EstimateCommand, TakesAStack) {
  const CommandFolder folder;
  const std::string stack = folder.write(
      "stack.json",
      R"({"schema": "foreplan.stack/1", "name": "mine", "source": "a test", "overlap_gradients": false})");
  const auto step = [](const std::vector<std::string>& more) {
    return expect_done(gpt2("dp=16,micro_batch=1", more)).json()["step_time_s"].get<double>();
  };
  EXPECT_GT(step({"--json", "--stack", stack}), step({"--json"}));
  EXPECT_GT(step({"--json", "--stack", "megatron-2021"}), 0);
  expect_complaint(run_command(gpt2("dp=2", {"--stack", "moon"})), 2, {"no stack 'moon'"});
}

// Where nobody tells what a library's collectives take, each by what it costs is never slower than all by one
// algorithm. Where it is told, a library's ring is faster than one whose rounds wait for each other.
TEST(EstimateCommand, TakesCollectivesByCostOrByName) {
  const CommandFolder folder;
  const std::string sold =
      folder.write("sold.json", R"({"schema": "foreplan.cluster/1", "name": "c",
    "nodes": [{"count": 2, "device": "a100-sxm-80gb", "devices_per_node": 8, "nics_per_node": 8,
               "intra": {"bandwidth_bytes_per_s": 3e11, "latency_s": 2e-6},
               "nic": {"bandwidth_bytes_per_s": 2.5e10, "latency_s": 2.5e-6}}]})");
  const auto step = [](const std::string& cluster, const char* collectives) {
    std::vector<std::string> words =
        gpt2("dp=4,tp=4,micro_batch=4", {"--json", "--collectives", collectives});
    words[3] = cluster;
    return expect_done(words).json()["step_time_s"].get<double>();
  };
  const double best = step(sold, "auto");
  for (const char* name : {"ring", "direct", "tree", "halving_doubling", "hierarchical"}) {
    EXPECT_LE(best, step(sold, name)) << name;
  }
  EXPECT_LT(step(sold, "ring"), step(sold, "tree"));
  EXPECT_LT(step("dgx-a100x2", "auto"), step("dgx-a100x2", "ring"));
  expect_complaint(run_command(gpt2("dp=2", {"--collectives", "star"})), 2,
                   {"--collectives: expected auto, ring, direct, tree", "'star'"});
}

TEST(EstimateCommand, WaitsForASlowDevice) {
  const double even = expect_done(gpt2("dp=16", {"--json"})).json()["step_time_s"].get<double>();
  const double slow =
      expect_done(gpt2("dp=16", {"--json", "--slow", "5:1.5"})).json()["step_time_s"].get<double>();
  EXPECT_GT(slow, 1.3 * even);
  expect_complaint(run_command(gpt2("dp=16", {"--slow", "16:2"})), 2,
                   {"--slow: expected a device from 0 to 15, got 16"});
}

TEST(EstimateCommand, ForecastsPytorchsDataParallel) {
  const auto step = [](const char* strategy) {
    return expect_done(gpt2(strategy, {"--json"})).json()["step_time_s"].get<double>();
  };
  EXPECT_GT(step("dp=16,replication=dataparallel"), step("dp=16"));
}

TEST(EstimateCommand, ForecastsWhatHasStepsOfItsOwnKind) {
  const auto told = [](const char* model, const char* strategy) {
    return std::vector<std::string>{"estimate",       model,    "--cluster",   "dgx-a100",
                                    "--global-batch", "8",      "--precision", "bf16",
                                    "--strategy",     strategy, "--json"};
  };
  const auto branches = expect_done(told("inception-v3", "dp=2,bp=2")).json();
  EXPECT_EQ(branches["strategy"]["bp"], 2);
  EXPECT_LT(branches["step_time_s"].get<double>(),
            expect_done(told("inception-v3", "dp=2")).json()["step_time_s"].get<double>());
  const auto split = expect_done(told("alexnet", "dp=8,split_from=15")).json();
  EXPECT_EQ(split["strategy"]["split_from"], 15);
  EXPECT_LT(split["step_time_s"].get<double>(),
            expect_done(told("alexnet", "dp=8")).json()["step_time_s"].get<double>());
  std::vector<std::string> chain = told("gpt2", "bp=2");
  chain.insert(chain.end(), {"--seq", "128"});
  expect_complaint(run_command(chain), 2, {"strategy: bp=2: gpt2 is made of blocks"});
}

}  // namespace
}  // namespace foreplan
