#include "planner/family.hpp"

#include <gtest/gtest.h>

#include <set>

#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

const OpGraph kGpt = hand_made_gpt({.layers = 12, .h = 64, .a = 8, .vocabulary = 100});
const Cluster kCluster = shorthand_node(8, fake_device());
const RooflineModel kCosts;

Task task_of(const OpGraph& model, std::int64_t batch) {
  return {.model = model,
          .cluster = kCluster,
          .costs = kCosts,
          .global_batch = batch,
          .lengths = {.source = 16}};
}

TEST(Layouts, UseAllDevicesAndNoMore) {
  const Task task = task_of(kGpt, 24);
  for (const Family family : kFamilies) {
    for (const int devices : {1, 2, 4, 8}) {
      for (const Strategy& strategy : layouts(task, family, devices).strategies) {
        EXPECT_EQ(strategy.devices(), devices) << name(family) << " " << format(strategy);
      }
    }
  }
}

TEST(Layouts, AreOneDimension) {
  const Task task = task_of(kGpt, 24);
  const auto only = [&](Family family) {
    const Layouts found = layouts(task, family, 4);
    EXPECT_FALSE(found.strategies.empty()) << name(family);
    return found.strategies.front();
  };
  EXPECT_EQ(only(Family::ddp), (Strategy{.dp = 4}));
  EXPECT_EQ(only(Family::dataparallel),
            (Strategy{.dp = 4, .replication = Replication::dataparallel}));
  EXPECT_EQ(only(Family::zero_3), (Strategy{.dp = 4, .zero = 3}));
  EXPECT_EQ(only(Family::tensor), (Strategy{.tp = 4}));
  EXPECT_EQ(only(Family::context), (Strategy{.cp = 4}));
  EXPECT_EQ(only(Family::gpipe), (Strategy{.pp = 4, .schedule = Schedule::gpipe}));
}

// Two branches read the samples: bp = 2, and the rest are replicas.
TEST(Layouts, OfBranchesAreReplicasOfTheirDevices) {
  const OpGraph branches = every_kind(8);
  const Layouts found = layouts(task_of(branches, 24), Family::branches, 8);
  EXPECT_EQ(found.strategies,
            (std::vector<Strategy>{{.dp = 4, .bp = 2}, {.dp = 4, .bp = 2, .zero = 1}}));
  EXPECT_EQ(layouts(task_of(branches, 2), Family::branches, 8).obstacle, Obstacle::batch);
  for (const int devices : {1, 8}) {
    EXPECT_EQ(layouts(task_of(kGpt, 24), Family::branches, devices).obstacle, Obstacle::branches);
  }
  const OpGraph chain = mlp({8, 8, 8});
  EXPECT_EQ(layouts(task_of(chain, 24), Family::branches, 2).obstacle, Obstacle::branches);
}

// 12 layers on 2 stages: 2, 3 and 6 chunks share them evenly; 14, with both ends counted, 7 chunks of one,
// which are more than the 12 layers.
TEST(Layouts, InterleaveChunksThatShareTheLayers) {
  std::vector<int> chunks;
  for (const Strategy& s : layouts(task_of(kGpt, 24), Family::interleaved, 2).strategies) {
    chunks.push_back(s.vpp);
  }
  EXPECT_EQ(chunks, (std::vector{2, 3, 6}));
}

TEST(Layouts, SayWhatStandsInTheWay) {
  EXPECT_EQ(layouts(task_of(kGpt, 6), Family::ddp, 4).obstacle, Obstacle::batch);
  EXPECT_EQ(layouts(task_of(kGpt, 6), Family::expert, 4).obstacle, Obstacle::experts);
  const OpGraph small = mlp({16, 16, 16});  // three layers
  EXPECT_EQ(layouts(task_of(small, 8), Family::gpipe, 4).obstacle, Obstacle::layers);
  EXPECT_EQ(layouts(task_of(small, 8), Family::interleaved, 2).obstacle, Obstacle::layers);
  EXPECT_EQ(layouts(task_of(small, 8), Family::context, 2).obstacle, Obstacle::sequence);
  Task slow = task_of(small, 8);
  slow.slow = {{DeviceId{0}, 1.5}};
  EXPECT_EQ(layouts(slow, Family::dataparallel, 2).obstacle, Obstacle::mixed_devices);
}

// Six samples on four stages: interleaved takes as many micro-batches as four divide; on three it may cut.
TEST(UsualObstacle, DependsOnTheFamily) {
  const Task task = task_of(kGpt, 6);
  EXPECT_EQ(usual_obstacle(task, Family::interleaved, 4), Obstacle::micro_batches);
  EXPECT_EQ(usual_obstacle(task, Family::interleaved, 3), Obstacle::cuts);
  EXPECT_EQ(usual_obstacle(task, Family::tensor, 4), Obstacle::width);
  EXPECT_EQ(usual_obstacle(task, Family::zero_3, 2), Obstacle::other);
  Task half = task_of(kGpt, 6);
  half.precision = DType::fp8;  // the device's sheet has fp32 only
  EXPECT_EQ(usual_obstacle(half, Family::zero_3, 2), Obstacle::precision);
}

TEST(MicroBatches, DivideTheShare) {
  EXPECT_EQ(micro_batches_of(Family::zero_1, 12), (std::vector<std::int64_t>{1, 2, 3, 4, 6, 12}));
  EXPECT_EQ(micro_batches_of(Family::zero_1, 9), (std::vector<std::int64_t>{1, 3, 9}));
  EXPECT_EQ(micro_batches_of(Family::ddp, 12), (std::vector<std::int64_t>{12}));
  EXPECT_EQ(micro_batches_of(Family::micro_batches, 4), (std::vector<std::int64_t>{1, 2}));
  EXPECT_TRUE(micro_batches_of(Family::micro_batches, 1).empty());
  // At most 4096 of them: 8192 samples by two at least.
  EXPECT_EQ(micro_batches_of(Family::zero_1, 8192).front(), 2);
}

TEST(Families, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Family family : kFamilies) names.insert(name(family));
  EXPECT_EQ(names.size(), kFamilies.size());
  EXPECT_EQ(names.count("?"), 0U);
}

}  // namespace
}  // namespace foreplan
