#include "sim/timeline_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

/// Device 0 computes `a`, 0 to 2 us, which allocates 100 bytes; device 1 pulls them, 2 to 5 us,
/// which frees them; two host tasks of no stream run side by side on device 0.
struct Scene {
  TaskGraph graph;
  Timeline timeline;
};

Scene scene() {
  TaskGraphBuilder builder(2);
  const BufferId buffer = builder.add_buffer({.device = DeviceId{0}, .bytes = 100_B});
  const OpId op =
      builder.add_op({.key = {.op = "relu", .shape = {25}}, .flops = {}, .traffic = {}});
  const TaskId a = builder.add({.op = op, .allocates = {buffer}, .name = "a \"quoted\"\n"});
  builder.add({.kind = TaskKind::transfer,
               .device = DeviceId{1},
               .stream = kCopyInStream,
               .source = DeviceId{0},
               .bytes = 100_B,
               .after = {a},
               .frees = {buffer}});
  for (int i = 0; i < 2; ++i) builder.add({.kind = TaskKind::host, .stream = kNoStream, .op = op});
  // 1 ps more, so that rounding anywhere shows.
  return {std::move(builder).build(), {{0us, 2us, 1us, 1us}, {2us, 5us + Duration{1}, 3us, 2us}}};
}

json events(const std::string& trace, const std::string& phase) {
  json result = json::array();
  const json document = json::parse(trace);
  for (const json& event : document["traceEvents"]) {
    if (event["ph"] == phase) result.push_back(event);
  }
  return result;
}

TEST(ToTrace, GivesEveryTaskASpanInMicroseconds) {
  const Scene made = scene();
  const std::string trace = to_trace(made.graph, made.timeline);
  const json spans = events(trace, "X");
  ASSERT_THAT(spans, SizeIs(4));
  EXPECT_EQ(spans[0]["name"], "a \"quoted\"\n");
  EXPECT_EQ(spans[0]["ts"], 0.0);
  EXPECT_EQ(spans[0]["dur"], 2.0);
  EXPECT_EQ(spans[0]["cat"], "forward");
  EXPECT_EQ(spans[0]["args"]["op"], "relu.forward[25] fp32");
  EXPECT_EQ(spans[1]["pid"], 1);
  EXPECT_EQ(spans[1]["tid"], static_cast<int>(kCopyInStream));
  EXPECT_EQ(spans[1]["cat"], "transfer");
  EXPECT_EQ(spans[1]["args"]["bytes"], 100);
  EXPECT_THAT(trace, HasSubstr("\"ts\":2.000000,\"dur\":3.000001"));
}

TEST(ToTrace, KeepsTasksOfNoStreamApartWhereTheyOverlap) {
  const Scene made = scene();
  const json spans = events(to_trace(made.graph, made.timeline), "X");
  EXPECT_EQ(spans[2]["pid"], spans[3]["pid"]);
  EXPECT_NE(spans[2]["tid"], spans[3]["tid"]);
  Timeline later = made.timeline;
  later.start[3] = 3us;
  later.finish[3] = 4us;
  const json after = events(to_trace(made.graph, later), "X");
  EXPECT_EQ(after[2]["tid"], after[3]["tid"]);
}

TEST(ToTrace, DrawsAnArrowFromTheSenderToTheTransfer) {
  const Scene made = scene();
  const std::string trace = to_trace(made.graph, made.timeline);
  const json starts = events(trace, "s");
  const json ends = events(trace, "f");
  ASSERT_THAT(starts, SizeIs(1));
  ASSERT_THAT(ends, SizeIs(1));
  EXPECT_EQ(starts[0]["id"], ends[0]["id"]);
  EXPECT_EQ(starts[0]["pid"], 0);
  EXPECT_EQ(starts[0]["ts"], 1.999);  // inside of the span, which is over at 2
  EXPECT_EQ(ends[0]["pid"], 1);
  EXPECT_EQ(ends[0]["tid"], static_cast<int>(kCopyInStream));
  EXPECT_EQ(ends[0]["ts"], 2.0);
  EXPECT_EQ(ends[0]["bp"], "e");
}

TEST(ToTrace, NamesProcessesAndThreads) {
  const Scene made = scene();
  std::set<std::string> names;
  for (const json& event : events(to_trace(made.graph, made.timeline), "M")) {
    if (event["args"].contains("name")) {
      names.insert(std::to_string(event["pid"].get<int>()) + " " +
                   event["args"]["name"].get<std::string>());
    }
  }
  EXPECT_THAT(names, ElementsAre("0 compute", "0 device 0", "0 no stream 0", "0 no stream 1",
                                 "1 copy_in", "1 device 1"));
}

using Counter = std::map<double, std::int64_t>;

Counter counter(const std::string& trace, const std::string& name, const std::string& key) {
  Counter values;
  for (const json& event : events(trace, "C")) {
    if (event["pid"] == 0 && event["name"] == name) values[event["ts"]] = event["args"].at(key);
  }
  return values;
}

// 100 bytes from 0 to the end of the transfer at 5.000001 us, of a segment of 2 MiB that stays.
TEST(ToTrace, CountsTheMemoryOfADevice) {
  const Scene made = scene();
  const std::string trace = to_trace(made.graph, made.timeline);
  EXPECT_EQ(counter(trace, "memory", "bytes"), (Counter{{0.0, 100}, {5.000001, 0}}));
  EXPECT_EQ(counter(trace, "memory reserved", "bytes"), (Counter{{0.0, 2 << 20}}));
}

// 7 bytes of parameters all the time beside 100 of activations; the categories without memory are left out.
TEST(ToTrace, CountsTheMemoryOfADeviceByCategory) {
  TaskGraphBuilder builder(1);
  builder.add_buffer({.bytes = 7_B, .category = BufferCategory::parameter, .persistent = true});
  const BufferId buffer = builder.add_buffer({.bytes = 100_B});
  const OpId op =
      builder.add_op({.key = {.op = "relu", .shape = {25}}, .flops = {}, .traffic = {}});
  builder.add({.op = op});
  builder.add({.op = op, .allocates = {buffer}, .frees = {buffer}});
  const TaskGraph graph = std::move(builder).build();
  const std::string trace = to_trace(graph, {{0us, 1us}, {1us, 3us}});
  EXPECT_EQ(counter(trace, "memory by category", "parameter"),
            (Counter{{0.0, 7}, {1.0, 7}, {3.0, 7}}));
  EXPECT_EQ(counter(trace, "memory by category", "activation"),
            (Counter{{0.0, 0}, {1.0, 100}, {3.0, 0}}));
  for (const json& event : events(trace, "C")) {
    if (event["name"] == "memory by category") {
      EXPECT_THAT(event["args"], SizeIs(2));
    }
  }
}

TEST(ToTrace, LaysForecastAndMeasuredSideBySide) {
  const Scene made = scene();
  Timeline measured = made.timeline;
  measured.finish[1] = 6us;
  const std::string trace = to_trace(made.graph, made.timeline, measured);
  std::map<int, std::string> processes;
  for (const json& event : events(trace, "M")) {
    if (event["name"] == "process_name") processes[event["pid"]] = event["args"]["name"];
  }
  EXPECT_EQ(processes, (std::map<int, std::string>{{0, "device 0 forecast"},
                                                   {1, "device 0 measured"},
                                                   {2, "device 1 forecast"},
                                                   {3, "device 1 measured"}}));
  const json spans = events(trace, "X");
  ASSERT_THAT(spans, SizeIs(8));
  EXPECT_EQ(spans[5]["pid"], 3);
  EXPECT_EQ(spans[5]["dur"], 4.0);
  const json arrows = events(trace, "s");
  ASSERT_THAT(arrows, SizeIs(2));
  EXPECT_NE(arrows[0]["id"], arrows[1]["id"]);
}

TEST(ToTrace, RefusesATimelineOfAnotherGraph) {
  try {
    to_trace(scene().graph, Timeline{});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "trace: expected a timeline of 4 tasks, got 0");
  }
}

}  // namespace
}  // namespace foreplan
