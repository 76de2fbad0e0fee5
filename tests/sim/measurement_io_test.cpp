#include "sim/measurement_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "sim/error.hpp"
#include "tests/sim/temporary_file.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Measurement example() {
  return {.model = "mnist-mlp",
          .strategy = "dp=2",
          .backend = "host",
          .device = "box",
          .global_batch = 64,
          .steps = 2,
          .step_time = {.mean = 3ms + Duration{1}, .median = 3ms, .mad = 1us, .samples = 2},
          .tasks = {{"fc1 linear.forward", DeviceId{0}, 1us, 2us + Duration{7}},
                    {"transfer 0->1", DeviceId{1}, 2us, 2us}},
          .losses = {2.3, 0.1 + 0.2}};
}

Measurement read_back(const std::string& text) {
  const TemporaryFile file("m.json", text);
  return read_measurement(file.path());
}

template <typename Change>
std::string complaint(Change change) {
  auto json = nlohmann::json::parse(to_json(example()));
  change(json);
  const TemporaryFile file("m.json", json.dump());
  return file.complaint([&] { read_measurement(file.path()); });
}

TEST(MeasurementIo, ReadsBackExactlyWhatItWrote) {
  EXPECT_EQ(read_back(to_json(example())), example());
}

TEST(MeasurementIo, WritesTheKeysOfTheDesign) {
  const auto json = nlohmann::json::parse(to_json(example()));
  EXPECT_EQ(json["schema"], "foreplan.measurement/1");
  EXPECT_EQ(json["step_time"]["median_s"], 3e-3);
  EXPECT_EQ(json["tasks"][1]["id"], "transfer 0->1");
  EXPECT_EQ(json["tasks"][0]["start_s"], 1e-6);
  EXPECT_EQ(json["losses"][0], 2.3);
}

TEST(MeasurementIo, KeepsLossesThatAreNoNumbers) {
  Measurement diverged = example();
  diverged.losses = {1, std::numeric_limits<double>::infinity(), std::nan("")};
  const Measurement again = read_back(to_json(diverged));
  ASSERT_EQ(again.losses.size(), 3U);
  EXPECT_EQ(again.losses[0], 1);
  EXPECT_TRUE(std::isnan(again.losses[1]));
  EXPECT_TRUE(std::isnan(again.losses[2]));
}

TEST(MeasurementIo, TellsThePlaceOfWhatIsWrong) {
  EXPECT_EQ(complaint([](auto& json) { json["tasks"][0]["finish_s"] = 0; }),
            "m.json: /tasks/0/finish_s: expected a time that is not before start_s, got 0");
  EXPECT_EQ(complaint([](auto& json) { json["losses"][1] = "low"; }),
            "m.json: /losses/1: expected a number, got \"low\"");
  EXPECT_EQ(complaint([](auto& json) { json["global_batch"] = 0; }),
            "m.json: /global_batch: expected a positive integer, got 0");
  EXPECT_THAT(complaint([](auto& json) { json["step_time"]["best_s"] = 0; }),
              HasSubstr("m.json: /step_time/best_s: expected one of "));
}

TaskGraph graph_of(std::vector<std::string> names) {
  TaskGraphBuilder builder(1);
  const OpId op = builder.add_op({.key = {.op = "relu", .shape = {1}}, .flops = {}, .traffic = {}});
  for (std::string& name : names) builder.add({.op = op, .name = std::move(name)});
  return std::move(builder).build();
}

TEST(TimelineOf, GivesBackTheTimelineThatWasMeasured) {
  const TaskGraph graph = graph_of({"a", "b"});
  Measurement measurement = example();
  measurement.tasks = measured_tasks(graph, {{0us, 1us}, {1us, 3us}});
  EXPECT_EQ(measurement.tasks[1], (MeasuredTask{"b", DeviceId{0}, 1us, 3us}));
  const Timeline timeline = timeline_of(measurement, graph);
  EXPECT_EQ(timeline.start[1], 1us);
  EXPECT_EQ(timeline.finish[1], 3us);
}

TEST(TimelineOf, NamesTheTaskInWhichGraphAndMeasurementDiffer) {
  Measurement measurement = example();
  measurement.tasks = measured_tasks(graph_of({"a", "b"}), {{0us, 1us}, {1us, 3us}});
  try {
    timeline_of(measurement, graph_of({"a", "c"}));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "measurement of dp=2: expected task 1 to be \"c\" on device 0, got \"b\" on "
                 "device 0");
  }
  EXPECT_THROW(timeline_of(measurement, graph_of({"a"})), Error);
  EXPECT_THROW(measured_tasks(graph_of({"a"}), {}), Error);
}

}  // namespace
}  // namespace foreplan
