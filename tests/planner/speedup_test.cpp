#include "planner/speedup.hpp"

#include <gtest/gtest.h>

#include "planner/search.hpp"
#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

const OpGraph kGpt =
    hand_made_gpt({.layers = 6, .h = 32, .a = 4, .vocabulary = 64, .positions = 32});
const RooflineModel kCosts;

Task task_on(const Cluster& cluster) {
  return {.model = kGpt,
          .cluster = cluster,
          .costs = kCosts,
          .global_batch = 24,
          .optimizer = Optimizer::adam,
          .lengths = {.source = 32}};
}

const SpeedupPoint& point(const SpeedupTable& table, Family family, std::size_t at) {
  for (const FamilySpeedup& row : table.families) {
    if (row.family == family) return row.points[at];
  }
  throw Error(ErrorCode::failed, "no such family");
}

TEST(SpeedupTable, HasEveryFamilyOnPowersOfTwoAndTheMost) {
  const Cluster cluster = shorthand_node(6, fake_device());
  const SpeedupTable table = speedup_table(task_on(cluster), {});
  EXPECT_EQ(table.devices, (std::vector{1, 2, 4, 6}));
  ASSERT_EQ(table.families.size(), kFamilies.size());
  for (const FamilySpeedup& row : table.families) {
    ASSERT_EQ(row.points.size(), table.devices.size());
    for (std::size_t at = 0; at < row.points.size(); ++at) {
      const SpeedupPoint& here = row.points[at];
      EXPECT_EQ(here.devices, table.devices[at]);
      EXPECT_EQ(here.best.has_value(), here.obstacle == Obstacle::none) << name(row.family);
      if (!here.best) continue;
      // A plan may leave devices idle.
      const int used = here.best->strategy.devices();
      EXPECT_TRUE(used == here.devices || (row.family == Family::hybrid && used < here.devices));
    }
  }
  EXPECT_EQ(speedup_table(task_on(cluster), {.devices = 2}).devices, (std::vector{1, 2}));
  EXPECT_EQ(speedup_table(task_on(cluster), {.devices = 100}).devices, table.devices);
}

TEST(SpeedupTable, MeasuresAgainstTheFastestStepOfOneDevice) {
  const Cluster cluster = shorthand_node(4, fake_device());
  const Task task = task_on(cluster);
  const SpeedupTable table = speedup_table(task, {});
  ASSERT_TRUE(table.baseline);
  EXPECT_EQ(table.baseline->devices, 1);
  for (const FamilySpeedup& row : table.families) {
    // Nothing (0) where it does not fit.
    EXPECT_LE(row.points.front().speedup, 1) << name(row.family);
  }
  const SpeedupPoint& four = point(table, Family::ddp, 2);
  ASSERT_TRUE(four.best);
  // The forecast stands on its own: what `estimate` says of the same strategy.
  EXPECT_EQ(four.best->step_time, estimate(task, four.best->strategy).step_time);
  EXPECT_DOUBLE_EQ(four.speedup,
                   seconds(table.baseline->one_device) / seconds(four.best->step_time));
  EXPECT_DOUBLE_EQ(four.efficiency, four.speedup / 4);
}

// Adam in fp32 keeps 16 bytes of each of the parameters: a device with room for two thirds of that holds
// no replica, but half of the network.
TEST(SpeedupTable, ScalesIdeallyFromTheFewestDevicesThatHoldIt) {
  const auto state = static_cast<double>(16 * kGpt.parameter_count());
  const Bytes memory{static_cast<std::int64_t>(state * 2 / 3)};
  const Cluster cluster = shorthand_node(4, fake_device(memory));
  const SpeedupTable table = speedup_table(task_on(cluster), {});
  ASSERT_TRUE(table.baseline);
  EXPECT_EQ(table.baseline->devices, 2);
  for (const FamilySpeedup& row : table.families) {
    EXPECT_FALSE(row.points[0].best) << name(row.family);
  }
  const SpeedupPoint& base = point(table, table.baseline->family, 1);
  EXPECT_DOUBLE_EQ(base.speedup, 2);
  EXPECT_DOUBLE_EQ(base.efficiency, 1);
  EXPECT_EQ(point(table, Family::ddp, 2).obstacle, Obstacle::memory);
}

TEST(SpeedupTable, SaysWhereNothingFits) {
  const Cluster cluster = shorthand_node(4, fake_device(Bytes{1000}));
  const SpeedupTable table = speedup_table(task_on(cluster), {});
  EXPECT_FALSE(table.baseline);
  EXPECT_EQ(table.best(), nullptr);
  for (const SpeedupPoint& here : table.families.back().points) {
    EXPECT_EQ(here.obstacle, Obstacle::memory) << here.devices;
  }
}

// But for the zero bubbles that it does not look at.
TEST(SpeedupTable, HasNoHybridThatIsSlowerThanAFamily) {
  for (const int devices : {4, 6, 8}) {
    const Cluster cluster = shorthand_node(devices, fake_device(), 5_GBps);
    const SpeedupTable table = speedup_table(task_on(cluster), {});
    for (std::size_t at = 0; at < table.devices.size(); ++at) {
      const SpeedupPoint& hybrid = point(table, Family::hybrid, at);
      for (const FamilySpeedup& row : table.families) {
        const auto& best = row.points[at].best;
        if (!best || best->strategy.schedule == Schedule::zb_h2 ||
            best->strategy.schedule == Schedule::zb_v) {
          continue;
        }
        EXPECT_LE(hybrid.best->step_time, best->step_time) << name(row.family);
      }
    }
  }
}

// Whether the whole space is searched anyway, or the runtime could run the network.
TEST(SpeedupTable, EndsWithWhatPlanSays) {
  const Cluster cluster = shorthand_node(6, fake_device(3_MB), 5_GBps);
  const OpGraph chain = mlp({64, 96, 32, 96, 16});
  Task half = task_on(cluster);
  Task runs{.model = chain, .cluster = cluster, .costs = kCosts, .global_batch = 12};
  for (const Task& task : {half, runs}) {
    Task planned = task;
    if (is_executable(task.model)) planned.collectives = CollectiveAlgorithm::ring;
    const SpeedupTable table = speedup_table(task, {});
    for (std::size_t at = 0; at < table.devices.size(); ++at) {
      const Plan found = plan(planned, {.devices = table.devices[at]});
      const auto& last = table.families.back().points[at].best;
      ASSERT_EQ(last.has_value(), found.best.has_value());
      if (!last) continue;
      EXPECT_EQ(last->strategy, found.best->strategy);
      EXPECT_EQ(last->step_time, found.best->step_time);
    }
  }
}

TEST(SpeedupTable, IsTheSameForAnyNumberOfThreads) {
  const Cluster cluster = shorthand_node(8, fake_device(2_MB));
  const SpeedupTable one = speedup_table(task_on(cluster), {.threads = 1});
  const SpeedupTable many = speedup_table(task_on(cluster), {.threads = 5});
  ASSERT_EQ(one.families.size(), many.families.size());
  for (std::size_t row = 0; row < one.families.size(); ++row) {
    for (std::size_t at = 0; at < one.devices.size(); ++at) {
      const SpeedupPoint &a = one.families[row].points[at], &b = many.families[row].points[at];
      EXPECT_EQ(a.obstacle, b.obstacle);
      ASSERT_EQ(a.best.has_value(), b.best.has_value());
      if (!a.best) continue;
      EXPECT_EQ(a.best->strategy, b.best->strategy);
      EXPECT_EQ(a.best->step_time, b.best->step_time);
    }
  }
}

// The families that are left out still set the baseline and are what a hybrid is at least as good as.
TEST(SpeedupTable, ShowsOnlyTheFamiliesAskedFor) {
  const Cluster cluster = shorthand_node(4, fake_device());
  const SpeedupTable all = speedup_table(task_on(cluster), {});
  const SpeedupTable some =
      speedup_table(task_on(cluster), {.families = {Family::tensor, Family::hybrid}});
  ASSERT_EQ(some.families.size(), 2U);
  EXPECT_EQ(some.families[0].family, Family::tensor);
  EXPECT_EQ(some.baseline->one_device, all.baseline->one_device);
  EXPECT_EQ(point(some, Family::hybrid, 2).best->step_time,
            point(all, Family::hybrid, 2).best->step_time);
}

TEST(SpeedupTable, RefusesATaskThatCannotBeForecast) {
  const Cluster cluster = shorthand_node(4, fake_device());
  Task nothing = task_on(cluster);
  nothing.global_batch = 0;
  EXPECT_NE(complaint([&] { speedup_table(nothing, {}); }).find("global batch: expected >= 1"),
            std::string::npos);
  Task wordless = task_on(cluster);
  wordless.lengths.source = 0;
  EXPECT_NE(complaint([&] { speedup_table(wordless, {}); }).find("reads tokens"),
            std::string::npos);
}

}  // namespace
}  // namespace foreplan
