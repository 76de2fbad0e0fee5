#include "planner/search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sim/roofline.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::SizeIs;

/// What is planned for: a model on equal devices.
struct Setting {
  OpGraph model = mnist_mlp();
  Cluster cluster;
  FakeCostModel costs;
  std::int64_t batch = 4;

  explicit Setting(int devices, const DeviceSpec& device = fake_device())
      : cluster(fake_cluster(devices, device)) {
    // 200 ns and 5 ps an entry of the shape; copies 300 ns and 10 ps a byte.
    costs.op = [](const OpKey& key) {
      std::int64_t size = 1;
      for (const std::int64_t entry : key.shape) size *= entry;
      return Duration{200ns} + size * Duration{5};
    };
    costs.copy = [](Bytes size) { return Duration{300ns} + size.count * Duration{10}; };
  }
  Task task() const {
    return {.model = model, .cluster = cluster, .costs = costs, .global_batch = batch};
  }
};

// fc1 relu1 fc2, 4 samples, 2 devices.
//   one device: micro-batches 4, 2, 1: 3
//   pp=2: 3 micro-batches x 2 schedules x 2 cuts: 12
//   tp=2 (128 outputs; fc2 by rows): 3
//   dp=2: micro-batches 2, 1: 2
TEST(StrategySpace, OfTwoDevicesMatchesAHandCount) {
  const Setting setting(2);
  EXPECT_THAT(strategy_space(setting.task(), 2), SizeIs(3 + 12 + 3 + 2));
}

// A third device adds pp=3: 3 x 2 x 1. dp=3 does not divide 4, tp=3 not 128.
TEST(StrategySpace, OfThreeDevicesMatchesAHandCount) {
  const Setting setting(3);
  EXPECT_THAT(strategy_space(setting.task(), 3), SizeIs(20 + 6));
}

// A residual block cannot be cut inside: for pp=2 two cuts, for pp=3 one, beyond none.
TEST(StrategySpace, CutsOnlyWhereOneTensorCrosses) {
  Setting setting(5);
  setting.model = residual(7);  // neither 2 nor 3, 4 or 5 divides 7: no tp
  setting.batch = 1;
  // One device 1; pp=2: 2 schedules x 2; pp=3: 2 x 1.
  EXPECT_THAT(strategy_space(setting.task(), 5), SizeIs(1 + 4 + 2));
}

TEST(StrategySpace, HoldsCompleteStrategiesOnceEach) {
  const Setting setting(8);
  const std::vector<Strategy> space = strategy_space(setting.task(), 8);
  EXPECT_EQ(std::set<Strategy>(space.begin(), space.end()).size(), space.size());
  for (const Strategy& strategy : space) {
    EXPECT_EQ(complete(setting.task(), strategy), strategy) << format(strategy);
    EXPECT_LE(strategy.devices(), 8);
  }
}

// 21 layers into 5 stages: 20 over 4 = 4845 partitions, more than 512, so only the balanced one is
// taken; into 2: all 20.
TEST(StrategySpace, TakesTheBalancedPartitionWhereThereAreTooMany) {
  Setting setting(5);
  setting.model = mlp(std::vector<std::int64_t>(12, 7));
  setting.batch = 1;
  const std::vector<Strategy> space = strategy_space(setting.task(), 5);
  const auto with = [&](int pp) {
    return std::count_if(space.begin(), space.end(),
                         [pp](const Strategy& s) { return s.pp == pp; });
  };
  EXPECT_EQ(with(2), 2 * 20);
  EXPECT_EQ(with(3), 2 * 190);
  EXPECT_EQ(with(5), 2 * 1);
  EXPECT_THAT(space, Contains(complete(setting.task(), {.pp = 5})));
}

TEST(Plan, IsTheBestOfTheSpace) {
  for (const int devices : {1, 2, 4}) {
    const Setting setting(devices);
    Duration best = Duration::max();
    for (const Strategy& strategy : strategy_space(setting.task(), devices)) {
      best = std::min(best, estimate(setting.task(), strategy).step_time);
    }
    const Plan found = plan(setting.task(), {});
    ASSERT_TRUE(found.best);
    EXPECT_EQ(found.best->step_time, best);
    EXPECT_EQ(estimate(setting.task(), found.best->strategy).step_time, best);
  }
}

TEST(Plan, CertifiesThatItHasSeenEverything) {
  const Setting setting(2);
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  EXPECT_EQ(found.certificate.strategies, 20);
  EXPECT_EQ(found.certificate.simulated, 20);
  EXPECT_EQ(found.certificate.bounded_out, 0);
  EXPECT_EQ(found.certificate.out_of_memory, 0);
  EXPECT_EQ(found.certificate.lower_bound, found.best->step_time);
  EXPECT_EQ(found.certificate.gap, 0);
}

// Where nothing takes time all strategies tie at zero: one device before two, then the least strategy:
// the smallest micro-batch.
TEST(Plan, PrefersFewerDevicesThenTheLeastStrategyAmongEquals) {
  Setting setting(2);
  setting.costs.op = {};
  setting.costs.copy = {};
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  EXPECT_EQ(found.best->strategy, (Strategy{.micro_batch = 1, .layers = {3}}));
}

// One family each of (dp, tp, pp, micro-batch, schedule): 3 + 3 + 2 without stages, pp=2 with 3 x 2. The
// best is not among its alternatives: 13 are left, in order of time.
TEST(Plan, RanksOneAlternativeOfEachFamily) {
  const Setting setting(2);
  const Plan found = plan(setting.task(), {.top = 100});
  ASSERT_TRUE(found.best);
  EXPECT_THAT(found.alternatives, SizeIs(13));
  Duration before = found.best->step_time;
  for (const Estimate& other : found.alternatives) {
    EXPECT_GE(other.step_time, before);
    EXPECT_NE(other.strategy, found.best->strategy);
    before = other.step_time;
  }
  EXPECT_THAT(plan(setting.task(), {.top = 2}).alternatives, SizeIs(2));
  EXPECT_THAT(plan(setting.task(), {.top = 0}).alternatives, SizeIs(0));
}

// fc1 is far dearer than the rest, so the two cuts of a pipeline differ much.
TEST(Plan, ShowsTheBestPartitionOfEachFamily) {
  const Setting setting(2);
  const Plan found = plan(setting.task(), {.top = 100});
  int pipelines = 0;
  for (const Estimate& shown : found.alternatives) {
    Strategy other = shown.strategy;
    if (other.pp == 1) continue;
    ++pipelines;
    other.layers = {other.layers[1], other.layers[0]};  // 1+2 and 2+1 are all there are
    EXPECT_LE(shown.step_time, estimate(setting.task(), other).step_time) << format(other);
  }
  EXPECT_GE(pipelines, 5);
}

TEST(Plan, IsEmptyWhereNothingFits) {
  const Setting setting(2, fake_device(1_KB));
  const Plan found = plan(setting.task(), {});
  EXPECT_FALSE(found.best);
  EXPECT_EQ(found.certificate.out_of_memory, 20);
  EXPECT_FALSE(found.one_device.feasible);
  ASSERT_FALSE(found.alternatives.empty());
  EXPECT_EQ(found.alternatives[0].limited_by, Limit::memory);
}

// Parameters, gradients and momentum of mnist-mlp are 1.22 MB; tp=2 and pp=2 halve fc1 or hold 1.21 MB
// on one stage. With 1 MB only tp=2 fits, however slow it is made by dear copies.
TEST(Plan, TakesASlowerStrategyThatFits) {
  Setting setting(2, fake_device(1_MB));
  setting.costs.copy = [](Bytes) { return Duration{1s}; };
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  EXPECT_EQ(found.best->strategy.tp, 2);
  EXPECT_TRUE(found.best->feasible);
  EXPECT_LT(found.one_device.step_time, found.best->step_time);
  // Those that do not fit stand behind those that do.
  const auto fits = [](const Estimate& e) { return e.feasible; };
  EXPECT_TRUE(std::is_partitioned(found.alternatives.begin(), found.alternatives.end(), fits));
}

TEST(Plan, IsNeverWorseWithMoreDevices) {
  const Setting setting(6);
  Duration before = Duration::max();
  for (int devices = 1; devices <= 6; ++devices) {
    const Plan found = plan(setting.task(), {.devices = devices});
    ASSERT_TRUE(found.best);
    EXPECT_LE(found.best->step_time, before);
    EXPECT_LE(found.best->strategy.devices(), devices);
    before = found.best->step_time;
  }
}

TEST(Plan, IsTheSameEveryTime) {
  const Setting setting(4);
  const Plan first = plan(setting.task(), {});
  const Plan second = plan(setting.task(), {});
  EXPECT_EQ(first.best->strategy, second.best->strategy);
  ASSERT_EQ(first.alternatives.size(), second.alternatives.size());
  for (std::size_t i = 0; i < first.alternatives.size(); ++i) {
    EXPECT_EQ(first.alternatives[i].strategy, second.alternatives[i].strategy);
    EXPECT_EQ(first.alternatives[i].step_time, second.alternatives[i].step_time);
  }
}

// Links share their bandwidth here: the event-driven simulation, not the replay.
TEST(Plan, WorksOnDataSheetsAlone) {
  const Setting setting(4);
  const RooflineModel roofline;
  const Plan found = plan({setting.model, setting.cluster, roofline, 4}, {});
  ASSERT_TRUE(found.best);
  EXPECT_LE(found.best->step_time, found.one_device.step_time);
}

TEST(Plan, ReportsProgressUpToTheWholeSpace) {
  const Setting setting(2);
  std::vector<std::int64_t> done;
  std::int64_t all = 0;
  plan(setting.task(), {.progress = [&](std::int64_t so_far, std::int64_t of) {
         done.push_back(so_far);
         all = of;
       }});
  ASSERT_FALSE(done.empty());
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 20);
  EXPECT_EQ(all, 20);
}

TEST(Plan, UsesNoMoreDevicesThanTheClusterHas) {
  const Setting setting(2);
  EXPECT_EQ(plan(setting.task(), {.devices = 64}).certificate.strategies, 20);
}

TEST(Plan, RefusesABatchWithoutSamples) {
  Setting setting(2);
  setting.batch = 0;
  EXPECT_EQ(complaint([&] { plan(setting.task(), {}); }), "global batch: expected >= 1, got 0");
}

}  // namespace
}  // namespace foreplan
