#include <gtest/gtest.h>

#include <map>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// A folder with the cluster of two round devices.
class SimulateFolder : public CommandFolder {
 public:
  SimulateFolder() { write("cluster.json", cluster_file(write("device.json", kDeviceFile))); }

  std::vector<std::string> command(const std::string& tasks) const {
    return {"simulate",
            write("graph.json", R"({"schema": "foreplan.task_graph/1", "tasks": [)" + tasks + "]}"),
            "--cluster", path("cluster.json")};
  }
  Json simulate(const std::string& tasks) const {
    std::vector<std::string> words = command(tasks);
    words.emplace_back("--json");
    return expect_done(words).json();
  }
};

using Interval = std::pair<double, double>;

void expect_times(const Json& json, const std::map<std::string, Interval>& expected) {
  ASSERT_EQ(json["tasks"].size(), expected.size());
  double last = 0;
  for (const Json& task : json["tasks"]) {
    const auto& [start, finish] = expected.at(task["id"].get<std::string>());
    EXPECT_NEAR(task["start_s"].get<double>(), start, 1e-12) << task;
    EXPECT_NEAR(task["finish_s"].get<double>(), finish, 1e-12) << task;
    last = std::max(last, finish);
  }
  EXPECT_NEAR(json["makespan_s"].get<double>(), last, 1e-12);
}

// a ends at 10 ms. Its 2 MB take 1 ms of latency and 2 ms at 1 GB/s: 13 ms. b's stream is free at
// 12 ms, so it waits for the copy, and takes 5 ms.
TEST(SimulateCommand, MatchesAHandComputedCase) {
  const SimulateFolder folder;
  const Json json = folder.simulate(R"(
    {"id": "a", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 0.010},
    {"id": "busy", "kind": "compute", "device": 1, "stream": "compute", "duration_s": 0.012},
    {"id": "move", "kind": "transfer", "source": 0, "destination": 1, "bytes": 2000000,
     "after": ["a"]},
    {"id": "b", "kind": "compute", "device": 1, "stream": "compute", "duration_s": 0.005,
     "after": ["move"]})");
  expect_times(
      json,
      {{"a", {0, 0.010}}, {"busy", {0, 0.012}}, {"move", {0.010, 0.013}}, {"b", {0.013, 0.018}}});
  ASSERT_EQ(json["links"].size(), 2U);
  EXPECT_EQ(json["links"][0]["from"], "d0");
  EXPECT_EQ(json["links"][0]["to"], "d1");
  EXPECT_EQ(json["links"][0]["bytes"], 2'000'000);
  EXPECT_NEAR(json["links"][0]["busy_s"].get<double>(), 0.002, 1e-12);
  EXPECT_EQ(json["links"][1]["from"], "d1");
  EXPECT_EQ(json["links"][1]["bytes"], 0);
}

// Both run at once: 1 ms of latency, then each has half of 1 GB/s. The 1 MB is through after 2 ms, the
// 3 MB have 2 MB left and the link for themselves: 2 ms more.
TEST(SimulateCommand, LetsTwoTransfersShareALink) {
  const SimulateFolder folder;
  expect_times(folder.simulate(R"(
    {"id": "short", "kind": "transfer", "source": 0, "destination": 1, "bytes": 1000000},
    {"id": "long", "kind": "transfer", "source": 0, "destination": 1, "bytes": 3000000})"),
               {{"short", {0, 0.003}}, {"long", {0, 0.005}}});
}

// A ring of n = 2 ranks: 2 (n - 1) = 2 rounds of 2 MB / 2 = 1 MB, each 1 ms + 1 ms. It starts when the
// later of its predecessors is done, at 3 ms: 3 + 4 = 7 ms.
TEST(SimulateCommand, RunsACollectiveAsARing) {
  const SimulateFolder folder;
  const Json json = folder.simulate(R"(
    {"id": "left", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 0.002},
    {"id": "right", "kind": "compute", "device": 1, "stream": "compute", "duration_s": 0.003},
    {"id": "sum", "kind": "collective", "operation": "all_reduce", "group": [0, 1],
     "bytes": 2000000, "stream": "collective", "after": ["left", "right"]},
    {"id": "then", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 0.001,
     "after": ["sum"]})");
  expect_times(json, {{"left", {0, 0.002}},
                      {"right", {0, 0.003}},
                      {"sum", {0.003, 0.007}},
                      {"then", {0.007, 0.008}}});
  for (const Json& link : json["links"]) EXPECT_EQ(link["bytes"], 2'000'000);
}

// By cost: recursive doubling sends the 2 MB in one round, 1 ms + 2 ms, where the ring needs 4 ms.
TEST(SimulateCommand, ChoosesACollectivesAlgorithmByItsCostOnTheCluster) {
  const SimulateFolder folder;
  expect_times(folder.simulate(R"(
    {"id": "sum", "kind": "collective", "operation": "all_reduce", "algorithm": "auto",
     "group": [0, 1], "bytes": 2000000})"),
               {{"sum", {0, 0.003}}});
}

constexpr const char* kTwoDevices = R"(
    {"id": "left", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 0.002},
    {"id": "right", "kind": "compute", "device": 1, "stream": "compute", "duration_s": 0.003})";

// 2 ms times 2, 3 ms times 1.5.
TEST(SimulateCommand, MakesDevicesSlow) {
  const SimulateFolder folder;
  std::vector<std::string> words = folder.command(kTwoDevices);
  words.insert(words.end(), {"--json", "--slow", "0:2", "--slow", "1:1.5"});
  expect_times(expect_done(words).json(), {{"left", {0, 0.004}}, {"right", {0, 0.0045}}});
}

TEST(SimulateCommand, RejectsSlowDevicesThatAreNone) {
  const SimulateFolder folder;
  for (const char* slow : {"1", "1:", ":2", "1:x", "x:2", "1:2:3"}) {
    std::vector<std::string> words = folder.command(kTwoDevices);
    words.insert(words.end(), {"--slow", slow});
    expect_complaint(run_command(words), 2,
                     {"--slow: expected DEVICE:FACTOR", std::string("'") + slow});
  }
  std::vector<std::string> words = folder.command(kTwoDevices);
  words.insert(words.end(), {"--slow", "2:1.5"});
  expect_complaint(run_command(words), 2, {"expected a slow device from 0 to 1, got 2"});
  words.back() = "1:-1";
  expect_complaint(run_command(words), 2, {"expected a factor above 0 for slow device 1, got -1"});
}

// The tasks are told without jitter. Runs are the same for one seed, and lie on both sides of the
// median; the longer of two tasks of 2 and 3 ms with a deviation of 10 % is about 3 ms.
TEST(SimulateCommand, RunsManyTimesWithJitter) {
  const SimulateFolder folder;
  const auto jitter = [&](const char* seed) {
    std::vector<std::string> words = folder.command(kTwoDevices);
    words.insert(words.end(), {"--json", "--jitter", "0.1", "--runs", "200", "--seed", seed});
    const Json json = expect_done(words).json();
    EXPECT_NEAR(json["makespan_s"].get<double>(), 0.003, 1e-12);
    return json["jitter"];
  };
  const Json json = jitter("7");
  EXPECT_EQ(json["runs"], 200);
  EXPECT_EQ(json["seed"], 7);
  EXPECT_NEAR(json["mean_s"].get<double>(), 0.003, 0.0001);
  EXPECT_LT(json["p5_s"].get<double>(), json["p50_s"].get<double>());
  EXPECT_LT(json["p50_s"].get<double>(), json["p95_s"].get<double>());
  EXPECT_LE(json["p99_s"].get<double>(), json["max_s"].get<double>());
  EXPECT_EQ(jitter("7"), json);
  EXPECT_NE(jitter("8"), json);
}

// linear 10 x 10 x 10: 2 m k n + m n = 2100 operations at 1 GFLOP/s.
TEST(SimulateCommand, PricesAnOpByTheDataSheet) {
  const SimulateFolder folder;
  expect_times(folder.simulate(R"(
    {"id": "op", "kind": "compute", "device": 0,
     "op": {"op": "linear", "pass": "forward", "shape": [10, 10, 10], "dtype": "fp32"}})"),
               {{"op", {0, 2.1e-6}}});
}

// With the profile: 1 us and 2100 operations at 1e12 a second.
TEST(SimulateCommand, PricesAnOpByAProfile) {
  const SimulateFolder folder;
  std::vector<std::string> words = folder.command(R"(
    {"id": "op", "kind": "compute", "device": 0,
     "op": {"op": "linear", "pass": "forward", "shape": [10, 10, 10], "dtype": "fp32"}})");
  words.insert(words.end(), {"--json", "--profile", folder.write("profile.json", kProfileFile)});
  expect_times(expect_done(words).json(), {{"op", {0, 1.0021e-6}}});
}

TEST(SimulateCommand, PrintsATableForPeople) {
  const SimulateFolder folder;
  const std::string out = expect_done(folder.command(R"(
    {"id": "a", "kind": "compute", "device": 0, "duration_s": 0.010})"))
                              .out;
  EXPECT_NE(out.find("makespan 10 ms"), std::string::npos) << out;
}

// Complete events are the tasks; their instants are microseconds.
TEST(SimulateCommand, WritesATraceOfItsTasks) {
  const SimulateFolder folder;
  std::vector<std::string> words = folder.command(R"(
    {"id": "a", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 0.010},
    {"id": "b", "kind": "compute", "device": 1, "duration_s": 0.005, "after": ["a"]})");
  words.insert(words.end(), {"--trace", folder.path("trace.json")});
  expect_done(words);
  const Json trace = Json::parse(folder.read("trace.json"));
  std::map<std::string, Interval> tasks;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const double start = event["ts"].get<double>();
    tasks[event["name"]] = {start, start + event["dur"].get<double>()};
  }
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_NEAR(tasks["a"].first, 0, 1e-6);
  EXPECT_NEAR(tasks["a"].second, 10'000, 1e-6);
  EXPECT_NEAR(tasks["b"].first, 10'000, 1e-6);
  EXPECT_NEAR(tasks["b"].second, 15'000, 1e-6);
}

TEST(SimulateCommand, NamesTheTasksOfACycle) {
  const SimulateFolder folder;
  expect_complaint(run_command(folder.command(R"(
    {"id": "egg", "kind": "compute", "device": 0, "duration_s": 1, "after": ["hen"]},
    {"id": "hen", "kind": "compute", "device": 0, "duration_s": 1, "after": ["egg"]})")),
                   2, {"graph.json: ", "egg", "hen", "cycle"});
}

TEST(SimulateCommand, NamesTasksWhoseStreamContradictsThem) {
  const SimulateFolder folder;
  expect_complaint(run_command(folder.command(R"(
    {"id": "first", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 1,
     "after": ["second"]},
    {"id": "second", "kind": "compute", "device": 0, "stream": "compute", "duration_s": 1})")),
                   2, {"graph.json: ", "'first'", "'second'", "stream compute"});
}

TEST(SimulateCommand, NamesAPredecessorThatIsMissing) {
  const SimulateFolder folder;
  expect_complaint(run_command(folder.command(R"(
    {"id": "a", "kind": "compute", "device": 0, "duration_s": 1, "after": ["nobody"]})")),
                   2, {"graph.json: /tasks/0/after/0: expected the name of a task", "nobody"});
}

TEST(SimulateCommand, RefusesWhatATaskCannotBe) {
  const SimulateFolder folder;
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({"id": "a", "kind": "compute", "device": 0, "duration_s": -1})",
       "/tasks/0/duration_s: expected a number >= 0, got -1"},
      {R"({"id": "a", "kind": "compute", "device": 0})", "\"duration_s\" or \"op\""},
      {R"({"id": "a", "kind": "magic", "device": 0})", "/tasks/0/kind: expected compute"},
      {R"({"id": "a", "kind": "compute", "device": 2, "duration_s": 1})", "3 devices"},
      {R"({"id": "a", "kind": "transfer", "source": 0, "destination": 1, "bytes": -5})",
       "/tasks/0/bytes: expected"},
      {R"({"id": "a", "kind": "collective", "operation": "all_reduce", "group": [], "bytes": 8})",
       "/tasks/0/group: expected at least one device"},
      {R"({"id": "a", "kind": "compute", "device": 0,
           "op": {"op": "sorcery", "pass": "forward", "shape": [1], "dtype": "fp32"}})",
       "sorcery"}};
  for (const auto& [task, message] : wrong) {
    expect_complaint(run_command(folder.command(task)), 2, {"graph.json: ", message});
  }
}

}  // namespace
}  // namespace foreplan
