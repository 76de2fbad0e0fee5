#include <gtest/gtest.h>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// A folder with a plan for mnist-mlp on two data-parallel ranks.
class RunFolder : public CommandFolder {
 public:
  RunFolder() { write("plan.json", plan_file(R"({"dp": 2})")); }

  std::vector<std::string> command(std::vector<std::string> more = {},
                                   const std::string& plan = "plan.json") const {
    more.insert(more.begin(), {"run", path(plan)});
    return more;
  }
};

std::vector<double> losses(const std::vector<std::string>& words) {
  return expect_done(words).json()["losses"].get<std::vector<double>>();
}

TEST(RunCommand, TrainsAsAPlanSays) {
  const RunFolder folder;
  const Json json = expect_done(folder.command({"--steps", "20", "--json"})).json();
  EXPECT_EQ(json["steps"], 20);
  EXPECT_EQ(json["strategy"]["dp"], 2);
  EXPECT_EQ(json["replica_divergence"], 0);
  EXPECT_NEAR(json["forecast_s"].get<double>(), 1e-3, 1e-15);
  const auto measured = json["measured_s"].get<double>();
  EXPECT_GT(measured, 0);
  EXPECT_NEAR(json["error"].get<double>(), 1e-3 / measured - 1, 1e-9);
  const auto loss = json["losses"].get<std::vector<double>>();
  ASSERT_EQ(loss.size(), 20U);
  EXPECT_LT(loss.back(), loss.front());
}

// Both name the tasks of one graph, so the two timelines can be laid over each other.
TEST(RunCommand, WritesAMeasurementThatCompareTakes) {
  const RunFolder folder;
  expect_done(folder.command(
      {"--steps", "20", "-o", folder.path("measured.json"), "--trace", folder.path("trace.json")}));
  expect_done({"estimate", "mnist-mlp", "--strategy", "dp=2", "--global-batch", "64", "-o",
               folder.path("forecast.json")});
  const std::size_t tasks = Json::parse(folder.read("measured.json"))["tasks"].size();
  for (const char* forecast : {"forecast.json", "plan.json"}) {
    const Json json =
        expect_done({"compare", folder.path(forecast), folder.path("measured.json"), "--json"})
            .json();
    EXPECT_EQ(json["tasks"].size(), tasks);
    EXPECT_NEAR(json["error"].get<double>(),
                json["forecast_s"].get<double>() / json["measured_s"].get<double>() - 1, 1e-9);
  }
  const CommandResult table =
      expect_done({"compare", folder.path("plan.json"), folder.path("measured.json")});
  EXPECT_NE(table.out.find("linear.forward"), std::string::npos) << table.out;
  EXPECT_FALSE(Json::parse(folder.read("trace.json"))["traceEvents"].empty());
}

TEST(CompareCommand, RefusesTimelinesOfTwoStrategiesNamingTheTask) {
  const RunFolder folder;
  std::vector<Json> tasks;
  for (const char* strategy : {"dp=2", "tp=2"}) {
    const std::string file = folder.path(std::string(strategy) + ".json");
    expect_done(
        {"estimate", "mnist-mlp", "--strategy", strategy, "--global-batch", "64", "-o", file});
    tasks.push_back(Json::parse(folder.read(std::string(strategy) + ".json"))["tasks"]);
  }
  std::size_t first = 0;
  while (tasks[0].at(first)["id"] == tasks[1].at(first)["id"] &&
         tasks[0][first]["device"] == tasks[1][first]["device"]) {
    ++first;
  }
  expect_complaint(run_command({"compare", folder.path("dp=2.json"), folder.path("tp=2.json")}), 2,
                   {"task " + std::to_string(first), tasks[0][first]["id"].get<std::string>(),
                    tasks[1][first]["id"].get<std::string>(), "timelines of one graph"});
}

// 12 steps, then 8 more from the checkpoint, are the 20 steps of one run, to the last bit.
TEST(RunCommand, GoesOnFromACheckpointAsIfItHadNotStopped) {
  for (const char* optimizer : {"sgd", "adam"}) {
    const RunFolder folder;
    folder.write("plan.json", plan_file(R"({"dp": 2})", optimizer));
    const std::vector<double> whole = losses(folder.command({"--steps", "20", "--json"}));
    std::vector<double> parts =
        losses(folder.command({"--steps", "12", "--json", "--checkpoint", folder.path("saved")}));
    const std::vector<double> rest = losses(folder.command(
        {"--steps", "8", "--json", "--checkpoint", folder.path("saved"), "--resume"}));
    parts.insert(parts.end(), rest.begin(), rest.end());
    EXPECT_EQ(parts, whole) << optimizer;
  }
}

// A checkpoint knows nothing of the strategy. Sums are added up in another order, so not to the bit.
TEST(RunCommand, GoesOnUnderAnotherStrategy) {
  const RunFolder folder;
  folder.write("other.json", plan_file(R"({"pp": 2, "layers": [2, 1], "micro_batch": 16})"));
  const std::vector<double> whole = losses(folder.command({"--steps", "12", "--json"}));
  losses(folder.command({"--steps", "8", "--json", "--checkpoint", folder.path("saved")}));
  const std::vector<double> rest = losses(folder.command(
      {"--steps", "4", "--json", "--checkpoint", folder.path("saved"), "--resume"}, "other.json"));
  ASSERT_EQ(rest.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(rest[i], whole[8 + i], 1e-3 * whole[8 + i]);
}

TEST(RunCommand, RefusesABrokenCheckpointAndLeavesItAlone) {
  const RunFolder folder;
  const auto resume = [&] {
    return folder.command({"--steps", "2", "--json", "--checkpoint", folder.path("saved"),
                           "--resume", "-o", folder.path("kept.json")});
  };
  folder.write("kept.json", "kept");
  const std::string name = "saved/mnist-mlp.checkpoint";
  expect_complaint(run_command(resume()), 2, {name, "expected a checkpoint, found no file"});
  losses(folder.command({"--steps", "2", "--json", "--checkpoint", folder.path("saved")}));
  const std::string good = folder.read(name);
  std::string damaged = good;
  damaged[good.size() / 2] = static_cast<char>(damaged[good.size() / 2] ^ 1);
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "is no checkpoint"},
      {good.substr(0, good.size() / 2), "is damaged"},
      {good + "x", "is damaged"},
      {damaged, "the checksum is wrong"},
      {std::string(good.size(), 'x'), "is no checkpoint"}};
  for (const auto& [content, message] : broken) {
    folder.write(name, content);
    expect_complaint(run_command(resume()), 2, {name, message});
    EXPECT_EQ(folder.read(name), content);
  }
  EXPECT_EQ(folder.read("kept.json"), "kept");
  folder.write(name, good);
  folder.write("plan.json", plan_file(R"({"dp": 2})", "adam"));
  expect_complaint(run_command(resume()), 2, {name, "optimizer \"adam\", found \"sgd\""});
}

std::string big_endian(std::uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xffU);
  return bytes;
}

/// 64 square images of `side` pixels, labels 0 to 9 in turn.
void write_idx(const CommandFolder& folder, std::uint32_t side) {
  std::string images = big_endian(0x803) + big_endian(64) + big_endian(side) + big_endian(side);
  std::string labels = big_endian(0x801) + big_endian(64);
  for (std::uint32_t i = 0; i < 64; ++i) {
    images += std::string(side * side, static_cast<char>(i));
    labels += static_cast<char>(i % 10);
  }
  for (const char* part : {"train", "t10k"}) {
    folder.write(std::string(part) + "-images-idx3-ubyte", images);
    folder.write(std::string(part) + "-labels-idx1-ubyte", labels);
  }
}

TEST(RunCommand, TrainsOnIdxFiles) {
  const RunFolder folder;
  write_idx(folder, 28);
  const auto words = folder.command({"--steps", "3", "--json", "--data", folder.path("")});
  EXPECT_EQ(losses(words).size(), 3U);
}

TEST(RunCommand, RefusesBrokenIdxFiles) {
  const RunFolder folder;
  const auto words = folder.command({"--steps", "3", "--data", folder.path("")});
  expect_complaint(run_command(words), 2, {"train-images-idx3-ubyte", "expected an IDX file"});
  write_idx(folder, 28);
  const std::string good = folder.read("train-images-idx3-ubyte");
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "header of 16 bytes"},
      {good.substr(0, good.size() / 2), "50176 values"},  // 64 x 28 x 28
      {good.substr(0, 4) + std::string(12, '\xff') + good.substr(16), "values"},
      {big_endian(0x801) + good.substr(4), "magic number"}};
  for (const auto& [content, message] : broken) {
    folder.write("train-images-idx3-ubyte", content);
    expect_complaint(run_command(words), 2, {"train-images-idx3-ubyte", message});
  }
  folder.write("train-images-idx3-ubyte", good);
  std::string labels = folder.read("train-labels-idx1-ubyte");
  labels.back() = 10;
  folder.write("train-labels-idx1-ubyte", labels);
  expect_complaint(run_command(words), 2, {"train-labels-idx1-ubyte", "label 63", "0 to 9"});
}

TEST(RunCommand, RefusesDataThatDoesNotFitTheModel) {
  const RunFolder folder;
  write_idx(folder, 2);
  expect_complaint(run_command(folder.command({"--data", folder.path("")})), 2,
                   {folder.path(""), "784 features, got 4"});
  expect_complaint(run_command(folder.command({"--data", folder.path("none")})), 2,
                   {folder.path("none"), "expected a directory"});
}

TEST(RunCommand, NamesThePlanThatCannotBeRun) {
  const RunFolder folder;
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({"dp": 3})", "dp=3 does not divide the global batch of 64"},
      {R"({"dp": 2, "micro_batch": 5})", "micro_batch=5 does not divide the 32 samples"},
      {R"({"tp": 3})", "tp=3 does not divide"},
      {R"({"pp": 9})", "pp=9 stages, but mnist-mlp has only 3 layers"},
      {R"({"dp": 0})", "/strategy/dp: expected"},
      {R"({"dp": 2, "layers": [-1]})", "/strategy/layers/0: expected"},
      {R"({"dp": 2, "zeal": 1})", "/strategy/zeal: "},
      {R"({"zero": 1})", "not yet run"}};
  for (const auto& [strategy, message] : wrong) {
    folder.write("plan.json", plan_file(strategy));
    expect_complaint(run_command(folder.command()), 2, {"plan.json: ", message});
  }
}

TEST(RunCommand, FailsBeforeTrainingWhereItCouldNotWriteAfterwards) {
  const RunFolder folder;
  for (const char* option : {"-o", "--trace"}) {
    expect_complaint(run_command(folder.command({option, folder.path("none/x.json")})), 1,
                     {"none/x.json: could not write it: No such file or directory"});
  }
  expect_complaint(run_command(folder.command({"--checkpoint", folder.path("plan.json")})), 1,
                   {"plan.json: could not make the folder: Not a directory"});
}

TEST(RunCommand, SaysWhichBackendsThereAre) {
  const RunFolder folder;
  expect_complaint(run_command(folder.command({"--backend", "nonsense"})), 2,
                   {"--backend: expected host", "'nonsense'"});
  expect_complaint(run_command({"profile", "--backend", "nonsense"}), 2, {"'nonsense'"});
  expect_complaint(run_command({"validate", "--backend", "nonsense"}), 2, {"'nonsense'"});
}

}  // namespace
}  // namespace foreplan
