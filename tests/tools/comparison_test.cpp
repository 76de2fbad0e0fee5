#include "tools/comparison.hpp"

#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

MeasuredTask task(const std::string& id, Duration start, Duration finish, int device = 0) {
  return {.id = id, .device = DeviceId{device}, .start = start, .finish = finish};
}

Measurement timeline(Duration step, std::vector<MeasuredTask> tasks) {
  Measurement result;
  result.step_time.mean = step;
  result.tasks = std::move(tasks);
  return result;
}

/// What each task differs by: fc1 forward 1 us, its copy 3 us, fc2 forward -3 us.
Comparison small_comparison() {
  return compare(timeline(12us, {task("fc1 linear.forward mb0", 0us, 4us),
                                 task("fc1 all_reduce 0->1", 4us, 9us, 1),
                                 task("fc2 linear.forward mb0", 9us, 10us)}),
                 timeline(10us, {task("fc1 linear.forward mb0", 0us, 3us),
                                 task("fc1 all_reduce 0->1", 3us, 5us, 1),
                                 task("fc2 linear.forward mb0", 5us, 9us)}));
}

TEST(Compare, LaysStepTimesOverEachOther) {
  const Comparison comparison = small_comparison();
  EXPECT_EQ(comparison.forecast, 12us);
  EXPECT_EQ(comparison.measured, 10us);
  EXPECT_NEAR(comparison.error(), 0.2, 1e-12);
}

// Largest difference first; of the two that differ by 3 us the one that stands first.
TEST(Compare, OrdersTasksByTheDifferenceOfTheirOwnTime) {
  const Comparison comparison = small_comparison();
  ASSERT_EQ(comparison.tasks.size(), 3U);
  EXPECT_EQ(comparison.tasks[0].id, "fc1 all_reduce 0->1");
  EXPECT_EQ(comparison.tasks[0].device, DeviceId{1});
  EXPECT_EQ(comparison.tasks[0].forecast, 5us);
  EXPECT_EQ(comparison.tasks[0].measured, 2us);
  EXPECT_EQ(comparison.tasks[0].forecast_start, 4us);
  EXPECT_EQ(comparison.tasks[0].measured_start, 3us);
  EXPECT_EQ(comparison.tasks[1].id, "fc2 linear.forward mb0");
  EXPECT_EQ(comparison.tasks[2].id, "fc1 linear.forward mb0");
}

// Copies differ by 5 - 2 = 3 us. linear.forward: (4 + 1) - (3 + 4) = -2 us.
TEST(Compare, SumsUpKinds) {
  const Comparison comparison = small_comparison();
  ASSERT_EQ(comparison.kinds.size(), 2U);
  EXPECT_EQ(comparison.kinds[0].kind, "copy");
  EXPECT_EQ(comparison.kinds[0].tasks, 1);
  EXPECT_EQ(comparison.kinds[1].kind, "linear.forward");
  EXPECT_EQ(comparison.kinds[1].tasks, 2);
  EXPECT_EQ(comparison.kinds[1].forecast, 5us);
  EXPECT_EQ(comparison.kinds[1].measured, 7us);
}

std::string kind_of(const std::string& id) {
  const Measurement one = timeline(1us, {task(id, 0us, 1us)});
  return compare(one, one).kinds.at(0).kind;
}

TEST(Compare, KnowsTheKindOfATaskByItsName) {
  EXPECT_EQ(kind_of("linear.forward"), "linear.forward");
  EXPECT_EQ(kind_of("fc1 linear.backward_weight mb3"), "linear.backward_weight");
  EXPECT_EQ(kind_of("block.0.fc linear.forward mb3"), "linear.forward");
  EXPECT_EQ(kind_of("copy 0->1 mb2"), "copy");
  EXPECT_EQ(kind_of("left"), "left");
}

TEST(Compare, TakesTwoEmptyTimelines) {
  const Comparison comparison = compare(timeline(0us, {}), timeline(0us, {}));
  EXPECT_TRUE(comparison.tasks.empty());
  EXPECT_EQ(comparison.error(), 0);
}

std::string complaint(const Measurement& forecast, const Measurement& measured) {
  try {
    compare(forecast, measured);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

TEST(Compare, NamesTheFirstTaskThatDiffers) {
  const Measurement forecast = timeline(1us, {task("a", 0us, 1us), task("b", 0us, 1us)});
  EXPECT_EQ(complaint(forecast, timeline(1us, {task("a", 0us, 1us), task("c", 0us, 1us)})),
            "compare: task 1 is 'b' on device 0 in the forecast and 'c' on device 0 in the "
            "measurement: expected two timelines of one graph");
  EXPECT_EQ(complaint(forecast, timeline(1us, {task("a", 0us, 1us, 1), task("b", 0us, 1us)})),
            "compare: task 0 is 'a' on device 0 in the forecast and 'a' on device 1 in the "
            "measurement: expected two timelines of one graph");
}

TEST(Compare, RefusesTimelinesOfDifferentLength) {
  EXPECT_EQ(
      complaint(timeline(1us, {task("a", 0us, 1us)}), timeline(1us, {})),
      "compare: the forecast has 1 tasks and the measurement 0: expected two timelines of one "
      "graph");
}

}  // namespace
}  // namespace foreplan
