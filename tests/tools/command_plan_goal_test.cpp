#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

std::vector<std::string> mnist(std::vector<std::string> more) {
  std::vector<std::string> words{"plan", "mnist-mlp", "--cluster", "host", "--global-batch", "256"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// 2560 samples are ten steps; device hours are ten steps times the devices, and cost twice that.
TEST(PlanGoal, TellsTimeAndCostOfTheTraining) {
  const auto json =
      expect_done(mnist({"--samples", "2560", "--price-per-device-hour", "2", "--json"})).json();
  const auto& training = json["training"];
  const double step = json["estimate"]["step_time_s"].get<double>();
  EXPECT_EQ(training["steps"], 10);
  EXPECT_NEAR(training["time_s"].get<double>(), 10 * step, 1e-12);
  const double hours = training["device_hours"].get<double>();
  EXPECT_NEAR(hours, 10 * step * training["devices"].get<int>() / 3600, 1e-12);
  EXPECT_NEAR(training["cost"].get<double>(), 2 * hours, 1e-12);
  EXPECT_TRUE(json["explanation"].is_null());
}

// One device takes fewer device-seconds than two, and is what a deadline that it meets needs.
TEST(PlanGoal, FindsTheCheapestAndTheSmallest) {
  const auto devices = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = mnist({"--samples", "2560", "--json"});
    words.insert(words.end(), more.begin(), more.end());
    return expect_done(words).json()["training"]["devices"].get<int>();
  };
  EXPECT_EQ(devices({}), 2);
  EXPECT_EQ(devices({"--objective", "cost"}), 1);
  EXPECT_EQ(devices({"--objective", "devices", "--deadline", "1h"}), 1);
}

TEST(PlanGoal, SaysWhenADeadlineCannotBeMet) {
  expect_complaint(run_command(mnist({"--samples", "1e12", "--deadline", "1s"})), 3,
                   {"no plan meets the deadline", "h at best"});
  expect_complaint(run_command(mnist({"--deadline", "1d"})), 2, {"--deadline: needs --tokens"});
  expect_complaint(run_command(mnist({"--tokens", "10"})), 2, {"tokens: mnist-mlp reads none"});
  expect_complaint(run_command(mnist({"--objective", "fun"})), 2, {"--objective: expected time"});
}

TEST(PlanGoal, Explains) {
  const CommandFolder folder;
  const auto result = expect_done(mnist({"--explain", "-o", folder.path("plan.json")}));
  for (const char* words : {"\nwhy: ", "\nrunner-up: ", "20 % more link bandwidth: ",
                            "20 % more device memory: ", "20 % more compute: "}) {
    EXPECT_NE(result.out.find(words), std::string::npos) << words;
  }
  const auto plan = nlohmann::ordered_json::parse(folder.read("plan.json"));
  const auto& sensitivities = plan["explanation"]["sensitivities"];
  ASSERT_EQ(sensitivities.size(), 3U);
  // Memory is plenty; every op a sixth faster makes the step faster, by no more than a fifth.
  EXPECT_EQ(sensitivities[1]["gain"], 0);
  EXPECT_GT(sensitivities[2]["gain"], 0);
  EXPECT_LE(sensitivities[2]["gain"].get<double>(), 0.2 + 1e-9);
  // A plan that explains itself still runs.
  expect_done({"run", folder.path("plan.json"), "--steps", "2"});
}

}  // namespace
}  // namespace foreplan
