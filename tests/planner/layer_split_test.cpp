#include "planner/layer_split.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "models/model_io.hpp"
#include "planner/folded_step.hpp"
#include "sim/roofline.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

OpGraph zoo(const std::string& name) {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo" / (name + ".json"));
}

std::vector<std::string> places_of(const OpGraph& model) {
  std::vector<std::string> names;
  for (const LayerId id : split_places(model)) names.push_back(model.layer(id).name);
  return names;
}

class LayerSplitOf : public ::testing::Test {
 protected:
  Task task_of(const OpGraph& model) const {
    return {.model = model, .cluster = cluster_, .costs = costs_, .global_batch = 64};
  }
  const OpGraph alexnet_ = zoo("alexnet");
  const Cluster cluster_ = shorthand_node(4, fake_device(100_GB), 10_GBps);
  const RooflineModel costs_;
};

LayerId end_of(const OpGraph& model) { return LayerId{static_cast<std::int32_t>(model.size())}; }

// With every layer shared by samples it is data parallelism.
TEST_F(LayerSplitOf, AllBySamplesIsDataParallelism) {
  const Task task = task_of(alexnet_);
  for (const std::int64_t size : {4, 16}) {
    const Estimate split =
        LayerSplit(task, {.dp = 4, .micro_batch = size}).estimate(end_of(alexnet_));
    const Estimate folded = FoldedStep(task, {.dp = 4, .micro_batch = size}).estimate(costs_);
    EXPECT_EQ(split.step_time, folded.step_time);
    EXPECT_EQ(split.breakdown.compute, folded.breakdown.compute);
    EXPECT_EQ(split.breakdown.exposed_communication, folded.breakdown.exposed_communication);
    EXPECT_EQ(split.peak_memory, folded.peak_memory);
  }
}

// With every layer shared by features it is tensor parallelism on all samples.
TEST_F(LayerSplitOf, NoneBySamplesIsTensorParallelism) {
  const Task task = task_of(alexnet_);
  for (const std::int64_t size : {4, 16}) {
    const Estimate split = LayerSplit(task, {.dp = 4, .micro_batch = size}).estimate(LayerId{0});
    const Estimate folded = FoldedStep(task, {.tp = 4, .micro_batch = 4 * size}).estimate(costs_);
    EXPECT_EQ(split.step_time, folded.step_time);
    EXPECT_EQ(split.breakdown.compute, folded.breakdown.compute);
    EXPECT_EQ(split.peak_memory, folded.peak_memory);
  }
}

// AlexNet: 58.6 M of its 61 M parameters are in three linear layers, which are cut in four: Krizhevsky, 2012,
// section 3.5. Over slow links splitting them beats both data and tensor parallelism.
TEST_F(LayerSplitOf, AlexNetGains) {
  const Cluster slow = shorthand_node(4, fake_device(100_GB), 1_GBps);
  const Task task{.model = alexnet_, .cluster = slow, .costs = costs_, .global_batch = 256};
  const LayerSplit split(task, {.dp = 4, .micro_batch = 64});
  const Estimate all = split.estimate(end_of(alexnet_));
  const Duration tensor = split.estimate(LayerId{0}).step_time;
  Estimate best = all;
  for (const LayerId from : split_places(alexnet_)) {
    const Estimate found = split.estimate(from);
    if (found.step_time < best.step_time) best = found;
  }
  EXPECT_LT(best.step_time, all.step_time);
  EXPECT_LT(best.step_time, tensor);
  EXPECT_LT(best.stages.front().parameters.count, all.stages.front().parameters.count / 2);
}

// One product of 8 by 16 behind a border of 8 features: forward gathers 2 x 3 samples of 8 numbers, backward
// scatters as many sums; nothing else is sent but the parameters of what lies before.
TEST(LayerSplitExchanges, AreWhatCrossesTheBorder) {
  const OpGraph model = mlp({4, 8, 16});  // fc1, relu1, fc2
  const Cluster cluster = shorthand_node(2, fake_device(), 1_GBps);
  const FakeCostModel free;
  Task task{.model = model, .cluster = cluster, .costs = free, .global_batch = 6};
  task.stack.overlap_tensor = false;
  const Estimate step = LayerSplit(task, {.dp = 2, .micro_batch = 3}).estimate(LayerId{2});
  // A ring of two over 1 GB/s: half of S each way, all-reduce twice.
  const auto ns = [](double bytes) { return Duration(static_cast<std::int64_t>(bytes * 1000)); };
  const double border = 6 * 8 * 4, parameters = (4 * 8 + 8) * 4;
  // The loss: three all-reduces of a number a sample.
  const double loss = 3 * 6 * 4;
  EXPECT_EQ(step.step_time, ns(border / 2 + border / 2 + parameters + loss));
  EXPECT_EQ(step.breakdown.exposed_communication, step.step_time);
  // Parameters of fc1 whole, of fc2 half: 40 and (8 x 16 + 16) / 2.
  EXPECT_EQ(step.stages.front().parameters, Bytes{(40 + 72) * 4});
}

// A strategy tells where; its tasks take as long.
TEST_F(LayerSplitOf, IsAStrategy) {
  const Task task = task_of(alexnet_);
  for (const LayerId from : split_places(alexnet_)) {
    const Strategy told{.dp = 4, .micro_batch = 4, .split_from = static_cast<std::int32_t>(from)};
    const LayerSplit split(task, told);
    const Estimate found = split.estimate();
    EXPECT_EQ(found.strategy, told);
    EXPECT_EQ(estimate(task, told).step_time, found.step_time);
    const FoldedGraph tasks = split.graph();
    EXPECT_EQ(makespan(replay(tasks.graph, tasks.costs)), found.step_time);
    EXPECT_EQ(static_cast<std::int64_t>(tasks.graph.size()), found.tasks);
  }
  // Where it is left out, the whole share at a time.
  EXPECT_EQ(LayerSplit(task, {.dp = 4, .split_from = 20}).estimate().strategy.micro_batch, 16);
}

TEST_F(LayerSplitOf, RefusesPlacesThatAreNone) {
  const Task task = task_of(alexnet_);
  const auto told = [&](const Strategy& strategy) {
    return complaint([&] { LayerSplit(task, strategy).estimate(); });
  };
  EXPECT_EQ(told({.split_from = 3}), "strategy: split_from=3 needs dp > 1");
  EXPECT_NE(told({.dp = 2, .split_from = 1000}).find("expected 1 to"), std::string::npos);
  EXPECT_NE(told({.dp = 2, .split_from = -1}).find("expected 1 to"), std::string::npos);
  EXPECT_EQ(told({.dp = 2, .zero = 1, .split_from = 3}),
            "strategy: split_from goes with dp and micro_batch alone");
  EXPECT_EQ(complaint([&] { FoldedStep(task, {.dp = 2, .split_from = 3}); }),
            "strategy: split_from=3 is not folded");
  EXPECT_FALSE(can_run({.dp = 2, .split_from = 3}));
}

TEST(SharesFrom, TellsWhetherDevicesDivideTheWidths) {
  const OpGraph model =
      mlp({8, 8, 12, 4});  // fc1 relu1 fc2 relu2 fc3: fc2 is cut by columns, fc3 by rows
  EXPECT_TRUE(shares_from(model, LayerId{2}, 4));
  EXPECT_FALSE(shares_from(model, LayerId{2}, 8));
}

TEST(SplitPlaces, LieBeforeTheLinearLayers) {
  const std::vector<std::string> alexnet = places_of(zoo("alexnet"));
  ASSERT_FALSE(alexnet.empty());
  // The first is the product itself or what feeds it and no convolution.
  const OpGraph model = zoo("alexnet");
  for (const LayerId from : split_places(model)) {
    for (auto i = static_cast<std::size_t>(from); i < model.size(); ++i) {
      EXPECT_NE(model.layers()[i].kind, LayerKind::conv2d);
    }
  }
  EXPECT_TRUE(split_places(hand_made_gpt({})).empty());
  EXPECT_EQ(places_of(mlp({4, 4, 4})), (std::vector<std::string>{"relu1", "fc2"}));
}

TEST_F(LayerSplitOf, RefusesWhatCannotBeSplit) {
  const OpGraph gpt = hand_made_gpt({});
  Task words = task_of(gpt);
  words.lengths.source = 4;
  EXPECT_NE(
      complaint([&] { LayerSplit(words, {.dp = 4, .micro_batch = 1}); }).find("made of blocks"),
      std::string::npos);
  const Task task = task_of(alexnet_);
  EXPECT_NE(complaint([&] {
              LayerSplit(task, {.dp = 3, .micro_batch = 1});
            }).find("does not divide the global batch"),
            std::string::npos);
  EXPECT_NE(complaint([&] { LayerSplit(task, {.dp = 4, .micro_batch = 5}); }).find("micro_batch=5"),
            std::string::npos);
  const OpGraph branch = residual(8);
  EXPECT_NE(complaint([&] {
              LayerSplit(task_of(branch), {.dp = 4, .micro_batch = 1}).estimate(LayerId{2});
            }).find("more than one"),
            std::string::npos);
  Task slow = task_of(alexnet_);
  slow.slow = {{DeviceId{0}, 2.0}};
  EXPECT_NE(complaint([&] { LayerSplit(slow, {.dp = 4, .micro_batch = 1}); }).find("all alike"),
            std::string::npos);
}

}  // namespace
}  // namespace foreplan
