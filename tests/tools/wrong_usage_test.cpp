#include <gtest/gtest.h>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Words = std::vector<std::string>;

void expect_usage_complaint(const Words& arguments, const std::vector<std::string>& words) {
  expect_complaint(run_command(arguments), 2, words);
}

TEST(WrongUsage, IsNoCommandOrAnUnknownOne) {
  expect_usage_complaint({}, {"no command: expected one of estimate, speedup, plan, "});
  expect_usage_complaint({"conquer"},
                         {"no command 'conquer': expected one of estimate, speedup, plan, "});
  expect_usage_complaint({"--bogus"}, {"--bogus"});
  expect_usage_complaint({""}, {"expected one of estimate, speedup, plan, "});
}

TEST(WrongUsage, IsAnUnknownFlagOrArgument) {
  expect_usage_complaint({"show", "mnist-mlp", "--bogus"}, {"--bogus"});
  expect_usage_complaint({"show", "mnist-mlp", "--seq", "8"},
                         {"--seq", "reads tokens", "mnist-mlp"});
  expect_usage_complaint({"show", "gpt2", "--seq", "0"}, {"--seq"});
  expect_usage_complaint({"show", "mnist-mlp", "mlp-4x1024"}, {"mlp-4x1024"});
}

TEST(WrongUsage, IsAMissingArgument) {
  expect_usage_complaint({"show"}, {"NAME"});
  expect_usage_complaint({"list"}, {"WHAT"});
  expect_usage_complaint({"simulate"}, {"GRAPH"});
  expect_usage_complaint({"run"}, {"PLAN"});
  expect_usage_complaint({"compare", "a.json"}, {"MEASURED"});
  expect_usage_complaint({"estimate", "mnist-mlp"}, {"--global-batch"});
  expect_usage_complaint({"plan", "mnist-mlp", "--global-batch"}, {"--global-batch"});
}

TEST(WrongUsage, IsAGlobalBatchThatIsNone) {
  for (const char* command : {"estimate", "plan"}) {
    for (const char* batch : {"0", "-5", "1e30", "abc", "", "1.5", "64x", "99999999999999999999"}) {
      expect_usage_complaint(
          {command, "mnist-mlp", "--global-batch", batch},
          {"--global-batch: expected a whole number", std::string("got '") + batch + "'"});
    }
    // It is a whole number, but what it stands for could not be counted.
    expect_usage_complaint({command, "mnist-mlp", "--global-batch", "9223372036854775807"},
                           {"9223372036854775807", "expected at most 1000000000"});
  }
}

TEST(WrongUsage, IsANumberOutOfRange) {
  const CommandFolder folder;
  const std::string plan = folder.write("plan.json", plan_file("{}"));
  expect_usage_complaint({"plan", "mnist-mlp", "--global-batch", "64", "--devices", "0"},
                         {"--devices: expected a whole number from 1", "got '0'"});
  expect_usage_complaint({"plan", "mnist-mlp", "--global-batch", "64", "--top", "-1"}, {"--top: "});
  expect_usage_complaint({"profile", "--devices", "0"}, {"--devices: expected", "got '0'"});
  expect_usage_complaint({"profile", "--devices", "100000", "-o", folder.path("x.json")},
                         {"--devices: expected at most ", "got 100000"});
  expect_usage_complaint({"profile", "--rounds", "0"}, {"--rounds: "});
  expect_usage_complaint({"validate", "--rounds", "4"}, {"--rounds: expected", "got '4'"});
  expect_usage_complaint({"run", plan, "--steps", "0"}, {"--steps: expected", "got '0'"});
  expect_usage_complaint({"run", plan, "--steps", "4000000000"}, {"--steps: expected"});
  expect_usage_complaint({"run", plan, "--seed", "-1"}, {"--seed: expected", "got '-1'"});
  for (const char* rate : {"0", "-1", "nan", "inf", "fast"}) {
    expect_usage_complaint({"run", plan, "--learning-rate", rate},
                           {"--learning-rate: expected a number > 0", rate});
  }
}

TEST(WrongUsage, IsAnUnknownNameWhereTheShippedOnesAreTold) {
  expect_usage_complaint({"show", "mnist"},
                         {"no model 'mnist'", "mnist-linear", "mnist-mlp", "foreplan list models"});
  expect_usage_complaint({"show", ""}, {"no model ''", "foreplan list models"});
  expect_usage_complaint({"plan", "mnist-mlp", "--global-batch", "64", "--cluster", "moon"},
                         {"no cluster 'moon'", "dgx-a100", "host"});
  expect_usage_complaint({"plan", "mnist-mlp", "--global-batch", "64", "--optimizer", "lion"},
                         {"expected sgd or adam", "lion"});
}

// However the user called it, the complaint is one line of printable characters.
TEST(WrongUsage, IsANameWithALineBreak) {
  expect_usage_complaint({"show", "a\nb"}, {"a\\nb"});
  expect_usage_complaint({"show", "a\nb.json"}, {"a\\nb.json"});
  expect_usage_complaint({"show", "\xff\x1b[2J"}, {"\\xff\\x1b[2J"});
}

void expect_refused_strategy(const std::string& strategy, const std::string& message) {
  expect_usage_complaint({"estimate", "mnist-mlp", "--cluster", "dgx-a100", "--global-batch", "64",
                          "--strategy", strategy},
                         {"strategy: ", message});
}

TEST(WrongUsage, IsAStrategyThatCannotBeLaidOut) {
  expect_refused_strategy("dp=3", "dp=3 does not divide the global batch of 64");
  expect_refused_strategy("dp=2,micro_batch=5", "micro_batch=5 does not divide the 32 samples");
  expect_refused_strategy("tp=3", "tp=3 does not divide the 128 output features of layer 'fc1'");
  expect_refused_strategy("pp=4", "pp=4 stages, but mnist-mlp has only 3 layers");
  expect_refused_strategy("pp=2,layers=2+2", "adds up to 4, but mnist-mlp has 3 layers");
  expect_refused_strategy("pp=2,layers=3", "expected pp=2");
  expect_refused_strategy("dp=16", "needs 16 devices, the cluster has 8");
  expect_refused_strategy("dp=1000000000,tp=1000000000", "the cluster has 8");
}

TEST(WrongUsage, IsAStrategyThatIsNone) {
  expect_refused_strategy("dp", "expected key=value, got 'dp'");
  expect_refused_strategy("dp=", "dp: expected a whole number >= 1, got ''");
  expect_refused_strategy("dp=0", "dp: expected a whole number >= 1, got '0'");
  expect_refused_strategy("dp=2,dp=2", "'dp' is given twice");
  expect_refused_strategy("zeal=3", "unknown key 'zeal', expected one of dp, tp, pp");
  expect_refused_strategy(
      "schedule=lifo",
      "expected one of gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb-v, dualpipe, got 'lifo'");
  expect_refused_strategy("zero=4", "zero: expected 0 to 3, got 4");
}

TEST(WrongUsage, LosesNothingThatWasThere) {
  const CommandFolder folder;
  const std::string output = folder.write("kept.json", "kept");
  expect_usage_complaint({"estimate", "mnist-mlp", "--global-batch", "64", "--strategy", "dp=3",
                          "-o", output, "--trace", output},
                         {"strategy: "});
  expect_usage_complaint({"plan", "mnist-mlp", "--global-batch", "0", "-o", output},
                         {"--global-batch"});
  expect_usage_complaint({"run", folder.path("none.json"), "-o", output, "--trace", output},
                         {"none.json"});
  expect_usage_complaint({"simulate", folder.path("none.json"), "--trace", output}, {"none.json"});
  EXPECT_EQ(folder.read("kept.json"), "kept");
}

TEST(WrongUsage, IsToResumeFromNowhere) {
  const CommandFolder folder;
  expect_usage_complaint({"run", folder.write("plan.json", plan_file("{}")), "--resume"},
                         {"--resume: expected --checkpoint DIR"});
}

TEST(WrongUsage, IsNotToAskForAGpuWhereThereIsNone) {
  const auto devices = expect_done({"devices", "--json"}).json();
  if (!devices["cuda"].empty()) GTEST_SKIP() << "a GPU answers";
  const CommandFolder folder;
  const std::string plan = folder.write("plan.json", plan_file("{}"));
  for (const Words& command :
       {Words{"run", plan}, Words{"profile", "-o", folder.path("x.json")}, Words{"validate"}}) {
    Words words = command;
    words.insert(words.end(), {"--backend", "cuda"});
    expect_complaint(run_command(words), 1, {"cuda"});
  }
}

TEST(WrongUsage, IsToAskTheHostForWhatGpusHave) {
  const CommandFolder folder;
  const std::string plan = folder.write("plan.json", plan_file("{}"));
  expect_usage_complaint({"run", plan, "--cuda-graph"}, {"--cuda-graph: expected --backend cuda"});
  expect_usage_complaint({"profile", "--quick"}, {"--quick: expected --backend cuda"});
  expect_usage_complaint({"profile", "--cluster-output", folder.path("c.json")},
                         {"--cluster-output: expected --backend cuda"});
  expect_usage_complaint({"validate", "--devices", "3"}, {"--devices: expected at most 2"});
  expect_usage_complaint({"profile", "--backend", "tpu"}, {"expected host or cuda, got 'tpu'"});
}

}  // namespace
}  // namespace foreplan
