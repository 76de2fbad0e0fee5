#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// The commands that `foreplan --help` lists.
std::vector<std::string> commands() {
  std::istringstream help(expect_done({"--help"}).out);
  std::vector<std::string> names;
  bool listed = false;
  for (std::string line; std::getline(help, line);) {
    if (line.empty()) listed = false;
    if (listed) names.push_back(line.substr(2, line.find(' ', 2) - 2));
    if (line == "Subcommands:") listed = true;
  }
  return names;
}

void expect_keys(const Json& json, const std::set<std::string>& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(json.contains(key)) << key;
}

const std::set<std::string> kEstimateKeys{
    "feasible", "step_time_s", "samples_per_s", "tokens_per_s", "mfu",
    "hfu",      "breakdown",   "memory",        "tasks",        "strategy"};
const std::set<std::string> kStrategyKeys{"dp", "tp",        "pp",          "vpp",
                                          "cp", "ep",        "micro_batch", "zero",
                                          "sp", "recompute", "schedule",    "layers"};

TEST(Command, TellsItsVersion) {
  const CommandResult result = expect_done({"--version"});
  EXPECT_TRUE(result.out.starts_with("foreplan ")) << result.out;
  EXPECT_EQ(result.out.find('\n'), result.out.size() - 1);
}

TEST(Command, ListsWhatItCanDo) {
  const std::vector<std::string> names = commands();
  for (const char* name :
       {"estimate", "plan", "simulate", "show", "profile", "run", "validate", "compare"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

TEST(Command, HasAnExampleInTheHelpOfEveryCommand) {
  EXPECT_NE(expect_done({"--help"}).out.find("Example:\n  foreplan "), std::string::npos);
  for (const std::string& name : commands()) {
    const CommandResult help = expect_done({name, "--help"});
    EXPECT_NE(help.out.find("Example:\n  foreplan " + name), std::string::npos) << help.out;
  }
}

// 784 x 128 + 128 + 128 x 10 + 10 = 101,770.
TEST(Command, ShowsAModel) {
  const Json json = expect_done({"show", "mnist-mlp", "--json"}).json();
  EXPECT_EQ(json["parameters"], 101'770);
  ASSERT_EQ(json["layers"].size(), 3U);
  EXPECT_EQ(json["layers"][0]["parameters"], 784 * 128 + 128);
  EXPECT_EQ(json["layers"][1]["parameters"], 0);
  EXPECT_EQ(json["layers"][2]["out_features"], 10);
  EXPECT_NE(expect_done({"show", "mnist-mlp"}).out.find("101770"), std::string::npos);
}

TEST(Command, ShowsAModelFile) {
  const CommandFolder folder;
  const Json json = expect_done({"show", folder.write("m.json", kModelFile), "--json"}).json();
  EXPECT_EQ(json["name"], "small");
  EXPECT_EQ(json["parameters"], 15);
}

// Llama 3 8B: 8,030,261,248 parameters; of them 4096 * 14336 in each of 32 `up`.
TEST(Command, ShowsANetworkOfRepeatedBlocks) {
  const Json json = expect_done({"show", "llama3-8b", "--json", "--seq", "128"}).json();
  EXPECT_EQ(json["parameters"], 8'030'261'248);
  EXPECT_EQ(json["tokens"], 128);
  ASSERT_EQ(json["blocks"].size(), 3U);
  EXPECT_EQ(json["blocks"][1]["name"], "layer");
  EXPECT_EQ(json["blocks"][1]["repeats"], 32);
  const auto up = std::find_if(json["layers"].begin(), json["layers"].end(),
                               [](const Json& layer) { return layer["name"] == "layer.up"; });
  ASSERT_NE(up, json["layers"].end());
  EXPECT_EQ((*up)["parameters"], 4096 * 14336);
  EXPECT_EQ((*up)["repeats"], 32);
  EXPECT_EQ((*up)["forward_flops"], 2.0 * 128 * 4096 * 14336);
  const std::string table = expect_done({"show", "llama3.1-405b"}).out;
  EXPECT_NE(table.find("405853388800"), std::string::npos);
  EXPECT_NE(table.find("one sample of 2048 tokens"), std::string::npos);
}

// GPT-2 has 1024 positions, fewer than the 2048 tokens that others are shown with.
TEST(Command, ShowsAConfigAtAsManyTokensAsItHasPositions) {
  const CommandFolder folder;
  const std::string path = folder.write(
      "config.json",
      R"({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257})");
  const Json json = expect_done({"show", path, "--json"}).json();
  EXPECT_EQ(json["parameters"], 124'439'808);
  EXPECT_EQ(json["tokens"], 1024);
}

Json estimate(const std::string& strategy) {
  return expect_done({"estimate", "mlp-4x1024", "--cluster", "dgx-a100", "--strategy", strategy,
                      "--global-batch", "128", "--json"})
      .json();
}

TEST(Command, EstimatesWithTheKeysThatOthersRelyOn) {
  const Json json = estimate("dp=2,pp=2,micro_batch=16");
  expect_keys(json, kEstimateKeys);
  expect_keys(json["strategy"], kStrategyKeys);
  expect_keys(json["breakdown"],
              {"compute_s", "exposed_communication_s", "bubble_s", "optimizer_s"});
  expect_keys(json["memory"], {"peak_bytes", "stages"});
  ASSERT_EQ(json["memory"]["stages"].size(), 2U);
  for (const Json& stage : json["memory"]["stages"]) {
    expect_keys(stage, {"stage", "peak_bytes", "parameter_bytes", "gradient_bytes",
                        "optimizer_bytes", "activation_bytes", "buffer_bytes", "reserved_bytes"});
    EXPECT_LE(stage["peak_bytes"].get<double>(), json["memory"]["peak_bytes"].get<double>());
    EXPECT_GE(stage["reserved_bytes"].get<double>(), stage["peak_bytes"].get<double>());
  }
  EXPECT_TRUE(json["tokens_per_s"].is_null());
  EXPECT_EQ(json["strategy"]["dp"], 2);
  EXPECT_EQ(json["strategy"]["micro_batch"], 16);
}

// Each part is a whole number of picoseconds: off by one at most.
TEST(Command, EstimatesABreakdownThatAddsUpToTheStep) {
  for (const char* strategy : {"dp=1", "dp=4", "tp=4", "pp=2,micro_batch=16", "dp=2,tp=2,pp=2"}) {
    const Json json = estimate(strategy);
    double sum = 0;
    for (const auto& [part, time] : json["breakdown"].items()) {
      EXPECT_GE(time.get<double>(), 0) << part;
      sum += time.get<double>();
    }
    EXPECT_NEAR(sum, json["step_time_s"].get<double>(), 4e-12) << strategy;
    EXPECT_NEAR(json["samples_per_s"].get<double>() * json["step_time_s"].get<double>(), 128, 1e-6);
  }
}

// Forward, loss, its gradient, weight gradient and update: 5 ops at least, each of 1 us and, with less
// than 1000 operations and bytes at 1e12 a second, less than 1 ns.
TEST(Command, EstimatesWithAProfile) {
  const CommandFolder folder;
  const Json json =
      expect_done({"estimate", folder.write("m.json", kModelFile), "--profile",
                   folder.write("p.json", kProfileFile), "--global-batch", "2", "--json"})
          .json();
  const double ops = json["tasks"].get<double>();
  EXPECT_GE(ops, 5);
  EXPECT_GE(json["step_time_s"].get<double>(), ops * 1e-6);
  EXPECT_LT(json["step_time_s"].get<double>(), ops * 1.001e-6);
}

TEST(Command, PlansWithTheKeysThatOthersRelyOn) {
  const Json json = expect_done({"plan", "mnist-mlp", "--global-batch", "64", "--json"}).json();
  expect_keys(json, {"strategy", "estimate", "certificate", "search_s", "alternatives"});
  expect_keys(json["strategy"], kStrategyKeys);
  expect_keys(json["estimate"], kEstimateKeys);
  expect_keys(json["certificate"],
              {"strategies", "out_of_memory", "bounded_out", "simulated", "lower_bound_s", "gap"});
  EXPECT_FALSE(json["strategy"]["layers"].empty());
  EXPECT_EQ(json["strategy"], json["estimate"]["strategy"]);
}

TEST(Command, PlansNothingSlowerThanAnyAlternative) {
  const Json json =
      expect_done({"plan", "mnist-mlp", "--global-batch", "64", "--top", "5", "--json"}).json();
  const double best = json["estimate"]["step_time_s"].get<double>();
  EXPECT_EQ(json["alternatives"].size(), 5U);
  for (const Json& other : json["alternatives"]) {
    EXPECT_GE(other["step_time_s"].get<double>(), best);
  }
  EXPECT_GE(best, json["certificate"]["lower_bound_s"].get<double>());
}

// A million samples one by one would be millions of tasks; such strategies are not in the space.
TEST(Command, PlansABatchWhoseSmallestMicroBatchesAreTooMany) {
  const Json json = expect_done({"plan", "mnist-mlp", "--cluster", "dgx-a100", "--devices", "1",
                                 "--global-batch", "1048576", "--top", "99", "--json"})
                        .json();
  EXPECT_EQ(json["certificate"]["strategies"], 13);  // 1 to 4096 = 2^12 micro-batches
}

// What is written is what is printed, and whoever estimates the planned strategy gets its time.
TEST(Command, WritesThePlanThatItPrints) {
  const CommandFolder folder;
  const CommandResult result = expect_done(
      {"plan", "mnist-mlp", "--global-batch", "64", "-o", folder.path("plan.json"), "--json"});
  EXPECT_EQ(folder.read("plan.json"), result.out);
  expect_done({"run", folder.path("plan.json"), "--steps", "1"});
}

TEST(Command, GivesTheSameBytesTwice) {
  const std::vector<std::string> words{"estimate",       "mnist-mlp", "--strategy", "pp=2",
                                       "--global-batch", "64",        "--json"};
  EXPECT_EQ(expect_done(words).out, expect_done(words).out);
}

constexpr const char* kTinyCluster = R"({"schema": "foreplan.cluster/1", "name": "tiny",
 "vertices": [{"id": "d", "kind": "device", "device": {"name": "tiny", "memory_bytes": 1000,
   "peak_flops_per_s": {"fp32": 1e9}, "memory_bandwidth_bytes_per_s": 1e9}}], "links": []})";

TEST(Command, SaysThatNothingFits) {
  const CommandFolder folder;
  const std::string cluster = folder.write("tiny.json", kTinyCluster);
  const std::string output = folder.write("plan.json", "kept");
  const CommandResult result = run_command(
      {"plan", "mnist-mlp", "--cluster", cluster, "--global-batch", "64", "--json", "-o", output});
  EXPECT_EQ(result.status, 3);
  EXPECT_TRUE(result.err.starts_with("foreplan: nothing fits: ")) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1);
  EXPECT_TRUE(result.json()["strategy"].is_null());
  EXPECT_EQ(folder.read("plan.json"), "kept");
}

TEST(Command, EstimatesWhatDoesNotFitAndSaysSo) {
  const CommandFolder folder;
  const std::string cluster = folder.write("tiny.json", kTinyCluster);
  const Json json =
      expect_done({"estimate", "mnist-mlp", "--cluster", cluster, "--global-batch", "64", "--json"})
          .json();
  EXPECT_EQ(json["feasible"], false);
}

TEST(Command, FailsWhereTheOutputCannotBeWritten) {
  const CommandFolder folder;
  for (const char* option : {"-o", "--trace"}) {
    expect_complaint(run_command({"estimate", "mnist-mlp", "--global-batch", "64", option,
                                  folder.path("none/x.json")}),
                     1, {"none/x.json: could not write it: No such file or directory"});
  }
  expect_complaint(
      run_command({"plan", "mnist-mlp", "--global-batch", "64", "-o", folder.path("none/x.json")}),
      1, {"none/x.json: could not write it"});
  // Before it measures for a minute.
  const CommandResult profile = run_command({"profile", "-o", folder.path("none/x.json")});
  expect_complaint(profile, 1, {"none/x.json: could not write it"});
  EXPECT_LT(profile.seconds, 2);
  expect_complaint(run_command({"profile", "-o", folder.path(".")}), 1, {"it is a directory"});
}

}  // namespace
}  // namespace foreplan
