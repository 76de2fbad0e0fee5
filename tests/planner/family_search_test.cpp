#include "planner/family_search.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <tuple>

#include "models/model_io.hpp"
#include "planner/layer_split.hpp"
#include "planner/search.hpp"
#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

DeviceSpec device_of(Bytes memory) {
  DeviceSpec device = fake_device(memory);
  device.launch_overhead = Duration(std::chrono::microseconds(2));
  return device;
}

/// The member of one layout and micro-batch: with the least saver that fits.
std::optional<Estimate> member(const Task& task, Strategy strategy) {
  for (const Recompute recompute : kRecomputes) {
    strategy.recompute = recompute;
    try {
      const Estimate found = estimate(task, strategy);
      if (found.feasible) return found;
    } catch (const Error&) {
      continue;  // cannot be laid out
    }
  }
  return std::nullopt;
}

std::optional<Estimate> by_hand(const Task& task, Family family, int devices) {
  std::optional<Estimate> best;
  const auto rank = [](const Estimate& e) { return std::tie(e.step_time, e.strategy); };
  for (Strategy strategy : layouts(task, family, devices).strategies) {
    for (const std::int64_t size : micro_batches_of(family, task.global_batch / strategy.dp)) {
      strategy.micro_batch = size;
      const std::optional<Estimate> found = member(task, strategy);
      if (found && (!best || rank(*found) < rank(*best))) best = found;
    }
  }
  return best;
}

// Memory from too little for anything to plenty.
TEST(BestMember, IsTheBestOfAllMembers) {
  const OpGraph gpt =
      hand_made_gpt({.layers = 6, .h = 32, .a = 4, .vocabulary = 64, .positions = 32});
  const RooflineModel costs;
  int fitting = 0, crowded = 0;
  for (const Bytes memory : {Bytes{200'000}, Bytes{600'000}, Bytes{1'500'000}, 4_MB, 100_MB}) {
    const Cluster cluster = shorthand_node(8, device_of(memory));
    const Task task{.model = gpt,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 24,
                    .optimizer = Optimizer::adam,
                    .lengths = {.source = 32}};
    const WorkBounds bounds(task);
    for (const Family family : kFamilies) {
      // Hybrids have a search of their own; blocks are not split by layers.
      if (family == Family::hybrid || family == Family::layer_split) continue;
      for (const int devices : {1, 2, 3, 4, 8}) {
        const std::optional<Estimate> expected = by_hand(task, family, devices);
        const Member found = best_member(task, family, devices, bounds);
        ASSERT_EQ(found.best.has_value(), expected.has_value()) << name(family) << devices;
        EXPECT_EQ(found.obstacle == Obstacle::none, found.best.has_value());
        if (!expected) {
          crowded += found.obstacle == Obstacle::memory ? 1 : 0;
          continue;
        }
        ++fitting;
        EXPECT_EQ(found.best->step_time, expected->step_time) << name(family) << devices;
        EXPECT_EQ(found.best->strategy, expected->strategy) << name(family) << devices;
      }
    }
  }
  EXPECT_GT(fitting, 60);
  EXPECT_GT(crowded, 30);
}

// AlexNet over slow links: with the best place and micro-batch of all.
TEST(BestMember, SplitsLayersWhereItIsBest) {
  const OpGraph alexnet =
      read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo/alexnet.json");
  const Cluster cluster = shorthand_node(4, device_of(100_GB), 1_GBps);
  const RooflineModel costs;
  const Task task{.model = alexnet, .cluster = cluster, .costs = costs, .global_batch = 256};
  const Member member = best_member(task, Family::layer_split, 4, WorkBounds(task));
  ASSERT_TRUE(member.best);
  Duration least = Duration::max();
  std::string from;
  for (const std::int64_t size : {1, 2, 4, 8, 16, 32, 64}) {
    for (const LayerId id : split_places(alexnet)) {
      const Duration step = LayerSplit(task, {.dp = 4, .micro_batch = size}).estimate(id).step_time;
      if (step < least) from = alexnet.layer(id).name;
      least = std::min(least, step);
    }
  }
  EXPECT_EQ(member.best->step_time, least);
  EXPECT_EQ(member.split_from, from);
}

// On all devices, as a mixture of kinds, or with nothing that fits.
TEST(BestMember, OfHybridsIsWhatPlanFinds) {
  const OpGraph gpt =
      hand_made_gpt({.layers = 6, .h = 32, .a = 4, .vocabulary = 64, .positions = 32});
  const RooflineModel costs;
  for (const Bytes memory : {Bytes{200'000}, 4_MB}) {
    const Cluster cluster = shorthand_node(6, device_of(memory));
    const Task task{.model = gpt,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 24,
                    .optimizer = Optimizer::adam,
                    .lengths = {.source = 32}};
    const WorkBounds bounds(task);
    for (const int devices : {1, 3, 6}) {
      const Plan expected = plan(task, {.devices = devices});
      const Member member = best_member(task, Family::hybrid, devices, bounds);
      ASSERT_EQ(member.best.has_value(), expected.best.has_value());
      if (!expected.best) {
        EXPECT_EQ(member.obstacle, Obstacle::memory);
        continue;
      }
      EXPECT_EQ(member.best->strategy, expected.best->strategy);
      EXPECT_EQ(member.best->step_time, expected.best->step_time);
    }
  }
}

}  // namespace
}  // namespace foreplan
