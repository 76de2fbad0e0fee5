#include "planner/best_first.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "models/model_io.hpp"
#include "sim/cluster_io.hpp"
#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

/// A GPT on nodes of eight A100, of `memory` each.
struct Setting {
  OpGraph model = hand_made_gpt({.layers = 6, .h = 64, .a = 8, .vocabulary = 500, .positions = 64});
  Cluster cluster;
  RooflineModel costs;
  std::int64_t batch = 16;

  explicit Setting(int nodes = 1, Bytes memory = 80_GB,
                   const std::function<void(DeviceSpec&)>& change = {})
      : cluster(read_cluster(
            FOREPLAN_SOURCE_DIR "/models/clusters/dgx-a100.json",
            [&](const std::string& name) {
              DeviceSpec device =
                  read_device(FOREPLAN_SOURCE_DIR "/models/devices/" + name + ".json");
              device.memory = memory;
              if (change) change(device);
              return device;
            },
            nodes)) {}

  Task task() const {
    return {.model = model,
            .cluster = cluster,
            .costs = costs,
            .global_batch = batch,
            .optimizer = Optimizer::adam,
            .lengths = {.source = 64, .target = 64},
            .precision = DType::bf16};
  }
};

/// Forecasts of a strategy, told as on the command line.
Estimate forecast(const Setting& setting, const std::string& strategy) {
  return estimate(setting.task(), parse_strategy(strategy));
}

std::int64_t counted(const Certificate& c) {
  return c.simulated + c.out_of_memory + c.bounded_out + c.open;
}

TEST(BestFirst, CountsEveryStrategyOnceAndProvesItsPlan) {
  const Setting setting;
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  EXPECT_EQ(counted(found.certificate), found.certificate.strategies);
  EXPECT_EQ(found.certificate.open, 0);
  EXPECT_EQ(found.certificate.gap, 0);
  EXPECT_EQ(found.certificate.lower_bound, found.best->step_time);
  EXPECT_GT(found.certificate.bounded_out, 100 * found.certificate.simulated);
}

TEST(BestFirst, ForecastsItsPlanAsEstimateDoes) {
  const Setting setting(2);
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  EXPECT_EQ(estimate(setting.task(), found.best->strategy).step_time, found.best->step_time);
  ASSERT_FALSE(found.alternatives.empty());
  for (const Estimate& other : found.alternatives) {
    EXPECT_TRUE(other.feasible);
    EXPECT_GE(other.step_time, found.best->step_time);
  }
}

// What a user would try by hand is in the space, so the plan is no worse.
TEST(BestFirst, IsNeverBeatenByANamedBaseline) {
  for (const Bytes memory : {80_GB, 4_MB}) {
    const Setting setting(2, memory);
    const Plan found = plan(setting.task(), {});
    ASSERT_TRUE(found.best);
    for (const char* baseline :
         {"dp=16", "dp=8", "dp=16,zero=1", "dp=16,zero=3", "pp=6,micro_batch=1",
          "pp=6,micro_batch=1,schedule=gpipe", "tp=8,sp=1", "tp=8,pp=2,micro_batch=1,sp=1",
          "tp=8,pp=2,micro_batch=2,sp=1,recompute=selective", "tp=4,pp=2,dp=2,micro_batch=1,sp=1",
          "tp=4,pp=2,vpp=3,dp=2,micro_batch=1,sp=1", "pp=2,dp=8,micro_batch=1,schedule=zb-h1",
          "pp=3,dp=4,micro_batch=1,layers=2+2+2", "pp=2,dp=8,micro_batch=1,layers=2+4",
          "dp=8,cp=2,micro_batch=1,recompute=full", "dp=16,replication=dataparallel",
          "dp=16,micro_batch=1,recompute=full,recompute_layers=2,offload=optimizer"}) {
      const Estimate other = forecast(setting, baseline);
      if (!other.feasible) continue;
      EXPECT_GE(other.step_time, found.best->step_time) << baseline;
    }
  }
}

TEST(BestFirst, IsNeverWorseWithMoreDevicesOrMemory) {
  Duration before = Duration::max();
  for (const int devices : {1, 2, 3, 4, 6, 8, 12, 16}) {
    const Plan found = plan(Setting(2).task(), {.devices = devices});
    ASSERT_TRUE(found.best);
    EXPECT_LE(found.best->step_time, before) << devices << " devices";
    EXPECT_LE(found.best->strategy.devices(), devices);
    before = found.best->step_time;
  }
  before = Duration::max();
  for (const Bytes memory : {800_KB, 1_MB, 2_MB, 4_MB, 8_MB, 1_GB}) {
    const Setting setting(1, memory);
    const Plan found = plan(setting.task(), {});
    if (!found.best) continue;
    EXPECT_LE(found.best->step_time, before) << format(memory);
    before = found.best->step_time;
  }
  EXPECT_LT(before, Duration::max());
}

// Offload is an option where a device tells its bandwidth to the host; memory is tight enough that it may pay.
TEST(BestFirst, IsNeverWorseWithAnotherOption) {
  for (const Bytes memory : {1_MB, 2_MB, 1_GB}) {
    const Setting without(1, memory, [](DeviceSpec& device) { device.host_bandwidth = {}; });
    const Setting with(1, memory);
    const Plan fewer = plan(without.task(), {}), more = plan(with.task(), {});
    ASSERT_TRUE(fewer.best && more.best);
    EXPECT_GT(more.certificate.strategies, fewer.certificate.strategies);
    EXPECT_LE(more.best->step_time, fewer.best->step_time);
  }
}

TEST(BestFirst, DoesNotDependOnNames) {
  const Plan named = plan(Setting(2).task(), {});
  const Setting renamed(2, 80_GB, [](DeviceSpec& device) { device.name = "another"; });
  const Plan other = plan(renamed.task(), {});
  ASSERT_TRUE(named.best && other.best);
  EXPECT_EQ(other.best->strategy, named.best->strategy);
  EXPECT_EQ(other.best->step_time, named.best->step_time);
  EXPECT_EQ(other.certificate.strategies, named.certificate.strategies);
}

TEST(BestFirst, GivesTheSamePlanForAnyNumberOfThreads) {
  const Setting setting(1, 4_MB);
  const Plan one = plan(setting.task(), {});
  ASSERT_TRUE(one.best);
  for (const int threads : {2, 5}) {
    const Plan more = plan(setting.task(), {.threads = threads});
    EXPECT_EQ(more.best->strategy, one.best->strategy);
    EXPECT_EQ(more.best->step_time, one.best->step_time);
    EXPECT_EQ(more.certificate.simulated, one.certificate.simulated);
    EXPECT_EQ(more.certificate.bounded_out, one.certificate.bounded_out);
    ASSERT_EQ(more.alternatives.size(), one.alternatives.size());
    for (std::size_t i = 0; i < one.alternatives.size(); ++i) {
      EXPECT_EQ(more.alternatives[i].strategy, one.alternatives[i].strategy);
    }
  }
}

TEST(BestFirst, StopsWithinTheGapThatIsAskedFor) {
  const Setting setting(2);
  const Plan exact = plan(setting.task(), {});
  const Plan close = plan(setting.task(), {.gap = 0.5});
  ASSERT_TRUE(exact.best && close.best);
  EXPECT_LE(seconds(close.best->step_time), 1.5 * seconds(close.certificate.lower_bound));
  EXPECT_LE(close.certificate.lower_bound, exact.best->step_time);
  EXPECT_LE(close.certificate.gap, 0.5);
  EXPECT_LE(close.certificate.simulated, exact.certificate.simulated);
  EXPECT_EQ(counted(close.certificate), close.certificate.strategies);
}

TEST(BestFirst, SaysWhatIsOpenWhereItIsStopped) {
  const Setting setting(2, 4_MB);
  const Plan exact = plan(setting.task(), {});
  const Plan stopped = plan(setting.task(), {.stop = [] { return true; }});
  ASSERT_TRUE(exact.best);
  EXPECT_EQ(counted(stopped.certificate), stopped.certificate.strategies);
  if (!stopped.best) return;
  EXPECT_LE(stopped.certificate.lower_bound, exact.best->step_time);
  EXPECT_GE(stopped.best->step_time, exact.best->step_time);
}

TEST(BestFirst, ShowsWhatComesNearestWhereNothingFits) {
  const Setting setting(1, 10_KB);
  const Plan found = plan(setting.task(), {});
  EXPECT_FALSE(found.best);
  EXPECT_EQ(found.certificate.out_of_memory, found.certificate.strategies);
  ASSERT_EQ(found.alternatives.size(), 1U);
  const Estimate& nearest = found.alternatives.front();
  EXPECT_FALSE(nearest.feasible);
  EXPECT_LT(nearest.peak_memory, found.one_device.peak_memory);
  // On devices that have what it needs, it fits, and so there is a plan.
  EXPECT_TRUE(plan(Setting(1, nearest.peak_memory).task(), {}).best);
}

// Fewer devices win ties: a network whose layers take no time at all is as fast on one.
TEST(BestFirst, PrefersFewerDevicesAmongEquals) {
  Setting setting;
  setting.batch = 1;
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  for (const Estimate& other : found.alternatives) {
    if (other.step_time != found.best->step_time) continue;
    EXPECT_LE(found.best->strategy.devices(), other.strategy.devices());
  }
}

// AlexNet's convolutions by samples, its linear layers by features: Krizhevsky, arXiv:1404.5997. Nothing that one
// would try by hand is faster.
TEST(BestFirst, SplitsByLayersWhereThatPays) {
  Setting setting;
  setting.model = read_model(FOREPLAN_SOURCE_DIR "/models/zoo/alexnet.json");
  setting.batch = 256;
  const Plan found = plan(setting.task(), {});
  ASSERT_TRUE(found.best);
  EXPECT_GT(found.best->strategy.split_from, 0);
  EXPECT_EQ(estimate(setting.task(), found.best->strategy).step_time, found.best->step_time);
  EXPECT_EQ(counted(found.certificate), found.certificate.strategies);
  EXPECT_EQ(found.certificate.gap, 0);
  for (const char* other : {"dp=8", "dp=8,zero=1", "tp=8", "dp=4,tp=2", "dp=8,split_from=18"}) {
    EXPECT_LE(found.best->step_time, forecast(setting, other).step_time) << other;
  }
}

/// Two wide layers of the same samples, then a narrow one; nothing divides their widths.
OpGraph two_wide_branches() {
  constexpr std::int64_t kPrime = 8191;
  ModelBuilder builder(kPrime);
  const LayerId left = builder.linear("left", kModelInput, kPrime);
  const LayerId right = builder.linear("right", kModelInput, kPrime);
  builder.linear("head", builder.same_width("sum", LayerKind::add, {left, right}), 3);
  return std::move(builder).build();
}

// A single sample leaves data parallelism nothing to share, a prime width tensor parallelism nothing.
TEST(BestFirst, PlacesBranchesOnDevicesOfTheirOwnWhereThatPays) {
  Setting setting;
  setting.model = two_wide_branches();
  setting.batch = 1;
  const Plan found = plan(setting.task(), {.devices = 3});
  const Plan all = plan(setting.task(), {.devices = 3, .exhaustive = true});
  ASSERT_TRUE(found.best && all.best);
  EXPECT_EQ(found.best->strategy, (Strategy{.bp = 2, .micro_batch = 1}));
  EXPECT_EQ(all.best->strategy, found.best->strategy);
  EXPECT_EQ(all.best->step_time, found.best->step_time);
  EXPECT_EQ(all.certificate.strategies, found.certificate.strategies);
  EXPECT_LT(seconds(found.best->step_time), 0.6 * seconds(found.one_device.step_time));
}

TEST(BestFirst, RefusesABatchWithoutSamples) {
  Setting setting;
  setting.batch = 0;
  EXPECT_EQ(complaint([&] { plan(setting.task(), {}); }), "global batch: expected >= 1, got 0");
  EXPECT_EQ(complaint([&] { plan(Setting().task(), {.gap = -1}); }),
            "gap: expected a number >= 0, got -1");
}

}  // namespace
}  // namespace foreplan
