#include "planner/bound_keeping.hpp"

#include <gtest/gtest.h>

#include "models/model_io.hpp"
#include "planner/folded_step.hpp"
#include "sim/cluster_io.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"

namespace foreplan {
namespace {

/// A GPT of six layers on eight A100, of `memory` each, and what bounds take.
struct Setting {
  OpGraph model = hand_made_gpt({.layers = 6, .h = 64, .a = 8, .vocabulary = 500, .positions = 64});
  Cluster cluster;
  RooflineModel costs;
  Task task;
  StrategySpace space;
  Bounds bounds;
  Sizes sizes;
  Share share;

  Setting(Bytes memory, const Sizes& asked, std::int64_t micro_batches, bool sharded)
      : cluster(read_cluster(
            FOREPLAN_SOURCE_DIR "/models/clusters/dgx-a100.json",
            [&](const std::string& name) {
              DeviceSpec device =
                  read_device(FOREPLAN_SOURCE_DIR "/models/devices/" + name + ".json");
              device.memory = memory;
              return device;
            },
            1)),
        task(folded_task({.model = model,
                          .cluster = cluster,
                          .costs = costs,
                          .global_batch = asked.dp * micro_batches,
                          .optimizer = Optimizer::adam,
                          .lengths = {.source = 64, .target = 64},
                          .precision = DType::bf16})),
        space(task, std::make_shared<const UnitChain>(unit_chain(model)), 8),
        bounds(task, space),
        sizes(asked),
        share{.micro_batch = 1, .micro_batches = micro_batches, .sharded = sharded} {}

  const UnitSums& units() { return bounds.units(sizes, share); }
  KeepingBounds near() { return {bounds, sizes, share, units(), bounds.facts(sizes)}; }
  /// A bit.
  Keepings bit(int zero, Offload offload) const {
    const std::vector<Keeping>& all = space.keepings(sizes, share);
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (all[k].zero == zero && all[k].offload == offload) return Keepings{1} << k;
    }
    return 0;
  }
};

constexpr Course kPlain{Schedule::one_f_one_b, 1, Again::none};

// Four replicas gather every parameter twice for each of the 5 micro-batches; two stages share that.
TEST(KeepingBounds, CountParametersGatheredForEveryMicroBatch) {
  Setting setting(80_GB, {.dp = 4, .pp = 2}, 5, true);
  const WeightSums& gather = setting.bounds.facts(setting.sizes).sharded(setting.units(), 3).gather;
  KeepingBounds near = setting.near();
  const Duration sharded = near.of(setting.bit(3, Offload::none));
  EXPECT_GE(sharded.count(), 5 * 2 * gather.back() / 2);
  EXPECT_GT(sharded, near.of(setting.bit(2, Offload::none)));
}

// Without any such traffic: what hangs on sizes alone, and the norm.
TEST(KeepingBounds, AddNothingWhereNothingGoesBeside) {
  Setting setting(80_GB, {.dp = 4, .pp = 2}, 5, false);
  const Duration alone = setting.bounds.of(setting.sizes, setting.share, setting.units().totals[0]);
  const Duration norm = setting.bounds.facts(setting.sizes).norm(2);
  EXPECT_EQ(setting.near().of(setting.bit(0, Offload::none)),
            alone + norm + setting.task.stack.host_step);
}

TEST(KeepingBounds, AreThatOfTheFastestOfSome) {
  Setting setting(80_GB, {.dp = 4, .pp = 2}, 6, true);
  KeepingBounds near = setting.near();
  for (const Course& course : setting.space.courses(setting.sizes, setting.share)) {
    Duration least = Duration::max();
    for (std::size_t k = 0; k < setting.space.keepings(setting.sizes, setting.share).size(); ++k) {
      const Duration one = near.of(course, Keepings{1} << k);
      EXPECT_GE(one, near.of(Keepings{1} << k));
      least = std::min(least, one);
    }
    EXPECT_EQ(near.of(course, near.all()), least);
  }
}

// A replica of one device, some 0.4 million parameters: 18 bytes each where nothing is shared are 7 MB, of
// which eight replicas that share all hold less than one.
TEST(KeepingBounds, LeaveOutWhatHoldsNoState) {
  Setting setting(4_MB, {.dp = 8}, 1, false), shared(4_MB, {.dp = 8}, 1, true);
  EXPECT_EQ(setting.near().holding() & setting.bit(0, Offload::none), 0);
  EXPECT_NE(shared.near().holding() & shared.bit(3, Offload::none), 0);
  Setting roomy(80_GB, {.dp = 8}, 1, false);
  EXPECT_EQ(roomy.near().holding(), roomy.near().all());
  EXPECT_EQ(roomy.near().fitting(kPlain, roomy.near().all()), roomy.near().all());
}

// Two bits asked, one that fits: the other stays out.
TEST(KeepingBounds, LookAtNoOthersThanAsked) {
  Setting setting(80_GB, {.dp = 8}, 1, false);
  const Keepings one = setting.bit(1, Offload::none);
  EXPECT_EQ(setting.near().fitting(kPlain, one), one);
  EXPECT_EQ(setting.near().fitting(kPlain, 0), 0);
}

}  // namespace
}  // namespace foreplan
