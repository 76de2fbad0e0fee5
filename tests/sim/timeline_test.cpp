#include "sim/timeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "sim/error.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ThrowsMessage;

/// Tasks at given instants.
struct Chart {
  explicit Chart(int devices) : builder(devices) {}

  void add(TaskSpec spec, Duration start, Duration finish) {
    spec.stream = kNoStream;
    builder.add(std::move(spec), finish - start);
    timeline.start.push_back(start);
    timeline.finish.push_back(finish);
  }
  std::vector<DeviceTime> times() {
    return device_times(std::move(builder).build().graph, timeline);
  }

  PricedBuilder builder;
  Timeline timeline;
};

Duration sum(const DeviceTime& time) {
  return time.compute + time.optimizer + time.exposed_communication + time.idle;
}

TEST(Makespan, IsTheLastFinish) {
  EXPECT_EQ(makespan({.start = {1s, 0s}, .finish = {2s, 5s}}), 5s);
  EXPECT_EQ(makespan({}), 0s);
}

// Device 0: compute 1-4; a copy to device 1 from 3 to 6, of which 4-6 is exposed; optimizer 5-8, of
// which no second runs beside compute; end of the step at 10. So compute 3, optimizer 3, exposed
// 4-5 = 1, idle 0-1 and 8-10 = 3. Device 1 sees only the copy: 3 of 10.
TEST(DeviceTimes, MatchAHandComputedCase) {
  Chart chart(3);
  const OpId forward = chart.builder.op();
  const OpId update =
      chart.builder.builder().add_op({.key = {.op = "sgd", .pass = Pass::optimizer}});
  chart.add({.op = forward}, 1s, 4s);
  chart.add({.kind = TaskKind::transfer, .device = DeviceId{1}, .source = DeviceId{0}}, 3s, 6s);
  chart.add({.op = update}, 5s, 8s);
  chart.add({.kind = TaskKind::host, .device = DeviceId{2}, .op = forward}, 0s, 10s);
  const std::vector<DeviceTime> times = chart.times();
  ASSERT_EQ(times.size(), 3U);
  EXPECT_EQ(times[0].compute, 3s);
  EXPECT_EQ(times[0].optimizer, 3s);
  EXPECT_EQ(times[0].exposed_communication, 1s);
  EXPECT_EQ(times[0].idle, 3s);
  EXPECT_EQ(times[1].exposed_communication, 3s);
  EXPECT_EQ(times[1].idle, 7s);
  EXPECT_EQ(times[2].compute, 10s);  // host work counts as compute
  EXPECT_EQ(times[2].idle, 0s);
}

// The add of a ring from 0 to 4, compute from 1 to 2, a copy within the device from 3 to 6:
// communication shows in 0-1 and 2-6.
TEST(DeviceTimes, CountTheAddsOfCollectivesAsCommunication) {
  Chart chart(1);
  const std::int32_t ring = chart.builder.builder().add_collective({});
  chart.add({.op = chart.builder.op(), .collective = ring}, 0s, 4s);
  chart.add({.op = chart.builder.op()}, 1s, 2s);
  chart.add({.kind = TaskKind::transfer, .source = DeviceId{0}}, 3s, 6s);
  const std::vector<DeviceTime> times = chart.times();
  EXPECT_EQ(times[0].compute, 1s);
  EXPECT_EQ(times[0].exposed_communication, 5s);
  EXPECT_EQ(times[0].idle, 0s);
}

TEST(DeviceTimes, CountOverlappingComputeOnce) {
  Chart chart(1);
  chart.add({.op = chart.builder.op()}, 0s, 4s);
  chart.add({.op = chart.builder.op()}, 2s, 5s);
  chart.add({.op = chart.builder.op()}, 3s, 3s);
  EXPECT_EQ(chart.times()[0].compute, 5s);
}

TEST(DeviceTimes, AddUpToTheMakespanOnEveryDevice) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 50; ++trial) {
    Chart chart(3);
    const OpId update =
        chart.builder.builder().add_op({.key = {.op = "sgd", .pass = Pass::optimizer}});
    for (int i = 0; i < 30; ++i) {
      const auto device = static_cast<DeviceId>(random() % 3);
      const Duration start(random() % 100);
      const Duration finish = start + Duration(random() % 20);
      if (random() % 2 == 0) {
        const auto source = static_cast<DeviceId>(random() % 3);
        chart.add({.kind = TaskKind::transfer, .device = device, .source = source}, start, finish);
      } else {
        chart.add({.device = device, .op = random() % 4 == 0 ? update : chart.builder.op()}, start,
                  finish);
      }
    }
    const Duration end = makespan(chart.timeline);
    for (const DeviceTime& time : chart.times()) EXPECT_EQ(sum(time), end);
  }
}

TEST(DeviceTimes, RejectATimelineOfAnotherGraph) {
  Chart chart(1);
  chart.add({.op = chart.builder.op()}, 0s, 1s);
  chart.timeline.start.pop_back();
  chart.timeline.finish.pop_back();
  EXPECT_THAT([&] { chart.times(); },
              ThrowsMessage<Error>("the graph has 1 tasks, but the timeline has 0"));
}

TEST(MeanDeviceTime, IsTheMeanOfEachPart) {
  const DeviceTime a{.compute = 4s, .optimizer = 1s, .exposed_communication = 0s, .idle = 5s};
  const DeviceTime b{.compute = 8s, .optimizer = 1s, .exposed_communication = 1s, .idle = 0s};
  const DeviceTime mean = mean_device_time({a, b});
  EXPECT_EQ(mean.compute, 6s);
  EXPECT_EQ(mean.optimizer, 1s);
  EXPECT_EQ(mean.exposed_communication, 500ms);
  EXPECT_EQ(mean.idle, 2500ms);
  EXPECT_EQ(mean_device_time({}).idle, 0s);
}

// 1 + 1 + 0 over 3 is 2/3: to the nearest picosecond 1. 1 + 0 + 0 gives 0.
TEST(MeanDeviceTime, RoundsToTheNearestPicosecond) {
  const DeviceTime one{.compute = Duration(1), .idle = Duration(1)};
  const DeviceTime mean = mean_device_time({one, {.compute = Duration(1)}, {}});
  EXPECT_EQ(mean.compute, Duration(1));
  EXPECT_EQ(mean.idle, Duration(0));
}

TEST(MeanDeviceTime, DoesNotOverflowOverManyDevices) {
  const std::vector<DeviceTime> times(100'000, DeviceTime{.idle = 1000s});  // 1e20 ps in all
  EXPECT_EQ(mean_device_time(times).idle, 1000s);
}

}  // namespace
}  // namespace foreplan
