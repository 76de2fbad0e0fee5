#include "planner/branch_step.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <tuple>

#include "models/model_io.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

OpGraph zoo(const std::string& name) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo" / (name + ".json"));
}

/// enter -> left and right -> sum -> head, each 8 wide, then the loss.
OpGraph two_branches() {
  ModelBuilder builder(8);
  const LayerId enter = builder.linear("enter", kModelInput, 8);
  const LayerId left = builder.linear("left", enter, 8);
  const LayerId right = builder.linear("right", enter, 8);
  const LayerId sum = builder.same_width("sum", LayerKind::add, {left, right});
  builder.linear("head", sum, 8);
  return std::move(builder).build();
}

/// A product takes 10 us, all else nothing.
FakeCostModel only_products() {
  FakeCostModel costs;
  costs.op = [](const OpKey& key) { return key.op == "linear" ? Duration(10us) : Duration{}; };
  return costs;
}

class BranchStepOf : public ::testing::Test {
 protected:
  /// Ten samples of eight numbers: 320 B, 32 ns at 10 GB/s.
  Task task(std::int64_t batch = 10) const {
    Task task{.model = model_, .cluster = cluster_, .costs = costs_, .global_batch = batch};
    task.stack.clip_gradients = false;
    task.collectives = CollectiveAlgorithm::ring;
    return task;
  }
  const OpGraph model_ = two_branches();
  const Cluster cluster_ = fake_cluster(4);
  const FakeCostModel costs_ = only_products();
};

// Forward enter, left and right at once, head: 30 us; backward head 20, both 20, enter 10 (no gradient of the
// samples): 50 us. Of the branch on the other device what enters and what leaves is copied, each way: 4 x 32 ns.
// On one device 40 + 70 us.
TEST_F(BranchStepOf, TwoHeavyBranchesRunAtOnce) {
  const BranchStep step(task(), {.bp = 2});
  const Estimate found = step.estimate();
  EXPECT_EQ(found.step_time, 80us + 128ns);
  EXPECT_EQ(found.step_time - found.breakdown.compute, 25us + 128ns);  // 110 us over two devices
  EXPECT_EQ(found.breakdown.exposed_communication, 128ns);
  EXPECT_THAT(step.placement(), ElementsAre(0, 0, 1, 0, 0, 0));
  EXPECT_TRUE(step.proven());
  EXPECT_EQ(BranchStep(task(), {}).estimate().step_time, 110us);
  // Of two micro-batches one comes behind the other.
  EXPECT_EQ(BranchStep(task(20), {.bp = 2, .micro_batch = 10}).estimate().step_time,
            2 * (80us + 128ns));
}

// The first device holds enter, left and head, the second right: 3 x 72 and 72 parameters in fp32. Gradients
// of the first go as one bucket behind its last layer, a ring of two at 10 GB/s: 864 B in 86.4 ns. Those of the
// second, 28.8 ns, are long done.
TEST_F(BranchStepOf, ReplicasAddUpTheGradientsOfEachDevice) {
  const Estimate found = BranchStep(task(20), {.dp = 2, .bp = 2}).estimate();
  EXPECT_EQ(found.step_time, 80us + 128ns + Duration(86400));
  EXPECT_EQ(found.strategy.devices(), 4);
  EXPECT_EQ(found.stages.front().parameters, Bytes{3 * 72 * 4});
}

// With zero 1 they are reduce-scattered, half of an all-reduce, and parameters in fp32 gathered, the other half.
TEST_F(BranchStepOf, ReplicasMayShardTheirState) {
  Task sharing = task(20);
  sharing.stack.overlap_parameters = false;
  const Estimate found = BranchStep(sharing, {.dp = 2, .bp = 2, .zero = 1}).estimate();
  EXPECT_EQ(found.step_time, 80us + 128ns + Duration(86400));
  sharing.optimizer = Optimizer::adam;
  // Two numbers of four bytes for each parameter, of which a replica has half.
  EXPECT_EQ(BranchStep(sharing, {.dp = 2, .bp = 2, .zero = 1}).estimate().stages.front().optimizer,
            Bytes{3 * 72 / 2 * 8});
}

// A word of 4 bytes to the first device and back: 2 x 0.4 ns.
TEST_F(BranchStepOf, DevicesWaitForTheNormOfAllGradients) {
  Task clipping = task();
  clipping.stack.clip_gradients = true;
  EXPECT_EQ(BranchStep(clipping, {.bp = 2}).estimate().step_time, 80us + 128ns + Duration(800));
}

// Where a copy takes longer than a branch, all lies on one device, and the step is that of one.
TEST_F(BranchStepOf, StaysOnOneDeviceWhereCopiesAreSlow) {
  const Cluster slow = shorthand_node(4, fake_device(), Bandwidth{1e6});
  Task far{.model = model_, .cluster = slow, .costs = costs_, .global_batch = 10};
  const BranchStep step(far, {.bp = 2});
  EXPECT_THAT(step.placement(), Each(0));
  EXPECT_EQ(step.estimate().step_time, BranchStep(far, {}).estimate().step_time);
}

// Of several replicas buckets fill in the order of upward ranks, which is that of a chain.
TEST(BranchStep, WithoutBranchDevicesIsDataParallelism) {
  const Cluster cluster = shorthand_node(8, fake_device(100_GB), 10_GBps);
  const RooflineModel costs;
  const std::tuple<const char*, int, int> cases[] = {{"resnet18", 1, 0},
                                                     {"inception-v3", 1, 0},
                                                     {"mlp-branches", 1, 0},
                                                     {"vgg11", 4, 0},
                                                     {"vgg11", 4, 1}};
  for (const auto& [name, dp, zero] : cases) {
    const OpGraph model = zoo(name);
    const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 64};
    for (const std::int64_t size : {4, 16}) {
      const Strategy strategy{.dp = dp, .micro_batch = size, .zero = zero};
      const Estimate branches = BranchStep(task, strategy).estimate();
      const Estimate folded = FoldedStep(task, strategy).estimate(costs);
      EXPECT_EQ(branches.step_time, folded.step_time) << name;
      EXPECT_EQ(branches.breakdown.compute, folded.breakdown.compute) << name;
      EXPECT_EQ(branches.peak_memory, folded.peak_memory) << name;
    }
  }
}

TEST(BranchStep, OfPublishedNetworksIsNoSlowerThanOneDeviceAndTheSameAsItsTasks) {
  const Cluster cluster = shorthand_node(8, fake_device(100_GB), 100_GBps);
  const RooflineModel costs;
  for (const char* name : {"resnet18", "inception-v3", "mlp-branches"}) {
    const OpGraph model = zoo(name);
    Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 16};
    for (int bp = 2; bp <= most_branches(stretches(model)); ++bp) {
      const BranchStep step(task, {.bp = bp, .micro_batch = 8});
      const Estimate found = step.estimate(),
                     one = FoldedStep(task, {.micro_batch = 8}).estimate(costs);
      EXPECT_LE(found.step_time, one.step_time) << name << " bp=" << bp;
      EXPECT_GE(bp * found.step_time, one.breakdown.compute) << name << " bp=" << bp;
      const FoldedGraph folded = step.graph();
      EXPECT_EQ(makespan(replay(folded.graph, folded.costs)), found.step_time) << name;
      EXPECT_EQ(static_cast<std::int64_t>(folded.graph.size()), found.tasks) << name;
    }
  }
}

TEST_F(BranchStepOf, RefusesWhatHasNoBranches) {
  const OpGraph chain = mlp({8, 8, 8});
  const Task line{.model = chain, .cluster = cluster_, .costs = costs_, .global_batch = 10};
  EXPECT_EQ(complaint([&] { BranchStep(line, {.bp = 2}); }),
            "strategy: bp=2: of test-model no more than one layer can be at work at once");
  EXPECT_EQ(complaint([&] { BranchStep(task(), {.bp = 3}); }),
            "strategy: bp=3: of test-model no more than 2 layers can be at work at once");
  const OpGraph gpt = hand_made_gpt({});
  Task words{.model = gpt, .cluster = cluster_, .costs = costs_, .global_batch = 10};
  words.lengths.source = 4;
  EXPECT_THAT(complaint([&] { BranchStep(words, {.bp = 2}); }), HasSubstr("is made of blocks"));
}

TEST_F(BranchStepOf, RefusesWhatGoesNotWithIt) {
  EXPECT_THAT(complaint([&] { BranchStep(task(), {.bp = 8}); }), HasSubstr("needs 8 devices"));
  EXPECT_EQ(complaint([&] { BranchStep(task(), {.bp = 2, .zero = 2}); }),
            "strategy: bp goes with dp, micro_batch and zero=1 alone");
  Task slow = task();
  slow.slow = {{DeviceId{0}, 2.0}};
  EXPECT_EQ(complaint([&] { BranchStep(slow, {.bp = 2}); }),
            "strategy: bp > 1 is forecast for devices that are all alike");
  EXPECT_EQ(complaint([&] { FoldedStep(task(), {.bp = 2}); }), "strategy: bp=2 is not folded");
}

}  // namespace
}  // namespace foreplan
