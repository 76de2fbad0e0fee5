// Folded steps against formulas that were published, or that follow from what a step is.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "models/model_io.hpp"
#include "models/op_cost.hpp"
#include "planner/folded_step.hpp"
#include "tests/models/gpt.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// Every op takes as long.
class EqualOps final : public CostModel {
 public:
  explicit EqualOps(Duration op) : op_(op) {}
  Duration compute_time(const Op&, const DeviceSpec&) const override { return op_; }
  std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return {}; }
  Duration dispatch(const DeviceSpec&) const override { return {}; }
  Duration handover() const override { return {}; }

 private:
  Duration op_;
};

/// A picosecond for each operation of matrix products, nothing for all else: a clock that counts work.
class WorkClock final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec&) const override {
    return Duration(static_cast<std::int64_t>(op.matrix.count));
  }
  std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return {}; }
  Duration dispatch(const DeviceSpec&) const override { return {}; }
  Duration handover() const override { return {}; }
};

DeviceSpec big_device() {
  return {.name = "big",
          .memory = 1000_GB,
          .peak = {{DType::fp32, 1_TFLOPps}},
          .memory_bandwidth = 100_GBps,
          .source = "made up"};
}

/// One node of `devices` whose links are `link`, in shorthand.
Cluster node(int devices, LinkFacts link) {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < devices; ++d) {
    vertices.push_back({.id = "d" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
    links.push_back({VertexId{d}, VertexId{devices}, link.bandwidth, link.latency / 2});
  }
  vertices.push_back({.id = "switch", .kind = VertexKind::network_switch});
  return {"node",
          {.specs = {big_device()},
           .vertices = vertices,
           .links = links,
           .node_groups = {{.nodes = 1, .spec = 0, .devices_per_node = devices, .intra = link}}}};
}

// Three layers of 512 x 512 weights and 512 biases: a bucket of 1,050,624 bytes each. Between two ranks an
// all-reduce of S bytes takes S / B: 105.0624 us at 10 GB/s. Bucket j is full at r_j, when backward is done
// with its layer, the last layer first; Li et al., VLDB 13(12), 2020:
//   T = max_j (r_j + sum_{i >= j} AR_i), then the optimizer's op
class DataParallel : public ::testing::TestWithParam<Duration> {
 protected:
  static constexpr Bytes kBucket{4 * (512 * 512 + 512)};
  static constexpr Duration kAllReduce{105'062'400};

  Estimate estimate(bool overlapped) const {
    const EqualOps costs(GetParam());
    Task task{.model = model_, .cluster = cluster_, .costs = costs, .global_batch = 8};
    task.stack.clip_gradients = false;
    task.stack.overlap_gradients = overlapped;
    task.stack.first_bucket = task.stack.bucket = kBucket;
    return FoldedStep(task, {.dp = 2}).estimate(costs);
  }
  Duration forward() const {
    std::size_t ops = 0;
    for (std::size_t i = 0; i < model_.size(); ++i) ops += of(i).forward.size();
    return static_cast<std::int64_t>(ops) * GetParam();
  }
  /// When backward is done with each linear layer, the last first.
  std::vector<Duration> ready() const {
    std::vector<Duration> ready;
    Duration now = forward();
    for (std::size_t i = model_.size(); i-- > 0;) {
      const LayerOps ops = of(i);
      const bool last_op_counts = !ops.backward_weight.empty();
      now += static_cast<std::int64_t>(ops.backward_input.size() + ops.backward_weight.size()) *
             GetParam();
      if (last_op_counts) ready.push_back(now);
    }
    return ready;
  }
  LayerOps of(std::size_t i) const {
    return layer_ops(model_, LayerId{static_cast<std::int32_t>(i)}, {.samples = 4});
  }

  const OpGraph model_ = mlp({512, 512, 512, 512});
  const Cluster cluster_ = node(2, {10_GBps, Duration::zero()});
};

TEST_P(DataParallel, IsTheLatestBucketAndThoseBehindIt) {
  const std::vector<Duration> full = ready();
  ASSERT_EQ(full.size(), 3u);
  Duration expected{};
  for (std::int64_t j = 0; j < 3; ++j) {
    expected = std::max(expected, full[static_cast<std::size_t>(j)] + (3 - j) * kAllReduce);
  }
  EXPECT_EQ(estimate(true).step_time, expected + GetParam());
}

TEST_P(DataParallel, AddsEverythingUpWhereNothingOverlaps) {
  EXPECT_EQ(estimate(false).step_time, ready().back() + 3 * kAllReduce + GetParam());
}

// From all communication exposed but the first bucket's wait, to all but the last bucket hidden.
INSTANTIATE_TEST_SUITE_P(Ops, DataParallel,
                         ::testing::Values(Duration(1us), Duration(10us), Duration(40us),
                                           Duration(60us), Duration(1ms)));

class StepLaws : public ::testing::TestWithParam<const char*> {
 protected:
  Estimate estimate(const Cluster& cluster, Duration op, std::int64_t batch = 32) const {
    const EqualOps costs(op);
    const Task task{.model = gpt_,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = batch,
                    .optimizer = Optimizer::adam,
                    .lengths = {.source = 8}};
    return FoldedStep(task, parse_strategy(GetParam())).estimate(costs);
  }
  const OpGraph gpt_ = hand_made_gpt({.layers = 16, .h = 64, .a = 4, .vocabulary = 256});
};

// Everything is a sum or a maximum of times that each become k times as long; each of them, at most some
// 10,000 on the longest way, is rounded to a picosecond.
TEST_P(StepLaws, ScaleWithAllTimes) {
  constexpr std::int64_t k = 3;
  const Estimate one = estimate(node(16, {9_GBps, Duration(2us)}), 5us);
  const Estimate all = estimate(node(16, {3_GBps, Duration(6us)}), 15us);
  EXPECT_NEAR(static_cast<double>(all.step_time.count()),
              static_cast<double>(k * one.step_time.count()), 2e4);
  EXPECT_GT(one.step_time, Duration(1ms));
}

TEST_P(StepLaws, AreNeverSlowerWithMoreBandwidth) {
  Duration before = Duration::max();
  for (const double rate : {1e8, 3e8, 1e9, 2e9, 1e10, 5e10, 1e11, 1e12, 1e15}) {
    const Duration now = estimate(node(16, {Bandwidth{rate}, Duration(2us)}), 5us).step_time;
    EXPECT_LE(now, before) << rate;
    before = now;
  }
}

TEST_P(StepLaws, AreNeverFasterWithMoreLatency) {
  Duration before{};
  for (const Duration latency : {Duration(0us), Duration(1us), Duration(10us), Duration(100us)}) {
    const Duration now = estimate(node(16, {10_GBps, latency}), 5us).step_time;
    EXPECT_GE(now, before) << format(latency);
    before = now;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Strategies, StepLaws,
    ::testing::Values("dp=16,micro_batch=1", "tp=4,dp=4,micro_batch=2", "tp=4,sp=1,dp=4",
                      "pp=4,micro_batch=1,dp=4", "pp=4,vpp=2,micro_batch=1,dp=2",
                      "pp=4,micro_batch=1,schedule=gpipe", "pp=4,micro_batch=1,schedule=zb-h1",
                      "pp=4,micro_batch=1,schedule=zb-h2", "pp=4,micro_batch=1,schedule=zb-v",
                      "pp=4,micro_batch=1,schedule=dualpipe", "dp=16,zero=1", "dp=16,zero=2",
                      "dp=8,zero=3,micro_batch=2", "cp=4,dp=4,micro_batch=2",
                      "tp=2,sp=1,pp=2,cp=2,dp=2,micro_batch=1,recompute=selective",
                      "tp=2,pp=2,dp=4,micro_batch=1,recompute=full"));

// A rank's work is its micro-batches': more replicas with as many each compute the same.
TEST(Replicas, ComputeTheSameOnEveryReplica) {
  const OpGraph gpt = hand_made_gpt({.layers = 4});
  const Cluster cluster = node(64, {10_GBps, Duration(2us)});
  const EqualOps costs(10us);
  Duration expected{};
  for (const int dp : {1, 2, 4, 8, 16, 32}) {
    const Task task{.model = gpt,
                    .cluster = cluster,
                    .costs = costs,
                    .global_batch = 12 * dp,
                    .lengths = {.source = 4}};
    const Estimate estimate =
        FoldedStep(task, {.dp = dp, .pp = 2, .micro_batch = 2}).estimate(costs);
    if (dp == 1) expected = estimate.breakdown.compute;
    EXPECT_EQ(estimate.breakdown.compute, expected) << dp;
  }
}

/// Operations of matrix products that all devices do together in a step.
double work_done(const OpGraph& model, const Strategy& strategy, const SequenceLengths& lengths) {
  const Cluster cluster = node(64, {10_GBps, Duration::zero()});
  const WorkClock clock;
  Task task{
      .model = model, .cluster = cluster, .costs = clock, .global_batch = 16, .lengths = lengths};
  task.stack.clip_gradients = false;
  const Estimate estimate = FoldedStep(task, strategy).estimate(clock);
  return static_cast<double>(estimate.breakdown.compute.count()) * strategy.devices();
}

double work_of_model(const OpGraph& model, const SequenceLengths& lengths) {
  return 16 * matrix_flops(model, {.samples = 1, .lengths = lengths}).count;
}

class Work : public ::testing::TestWithParam<const char*> {};

// Ranks share the model's products and repeat none, however it is cut. The mean over stages is a whole
// number of operations.
TEST_P(Work, IsSharedAndNotRepeated) {
  const OpGraph gpt = hand_made_gpt({.layers = 8, .h = 32, .a = 4, .vocabulary = 64});
  const Strategy strategy = parse_strategy(GetParam());
  EXPECT_NEAR(work_done(gpt, strategy, {.source = 16}), work_of_model(gpt, {.source = 16}),
              strategy.devices());
}

INSTANTIATE_TEST_SUITE_P(Strategies, Work,
                         ::testing::Values("", "dp=4", "tp=4", "tp=2,sp=1", "pp=4,micro_batch=1",
                                           "cp=4", "cp=2,dp=2,zero=3", "pp=4,vpp=2,micro_batch=1",
                                           "tp=4,cp=2,pp=2,micro_batch=2",
                                           "tp=2,sp=1,cp=2,pp=2,dp=4,zero=1,micro_batch=1",
                                           "pp=4,micro_batch=1,schedule=zb-v",
                                           "pp=4,micro_batch=1,schedule=dualpipe"));

// 18 words over 4 ranks are filled up to 20: 2 more columns of the head, each 2 h operations a row forward
// and twice that backward; 16 samples of 16 rows.
TEST(StepWork, GrowsByTheVocabularysPadding) {
  const OpGraph gpt = hand_made_gpt({.layers = 2, .h = 32, .a = 4, .vocabulary = 18});
  const SequenceLengths lengths{.source = 16};
  EXPECT_EQ(work_done(gpt, {.tp = 4}, lengths),
            work_of_model(gpt, lengths) + 2 * (2 * 32) * 3 * 16 * 16);
}

// Full recomputation repeats the forward of all layers, embedding and head left out: a third of their work.
TEST(StepWork, GrowsByAThirdOfTheLayersWhenAllIsRecomputed) {
  const OpGraph gpt = hand_made_gpt({.layers = 2, .h = 32, .a = 4, .vocabulary = 64});
  const SequenceLengths lengths{.source = 16};
  const double model = work_of_model(gpt, lengths), head = 3.0 * 2 * 32 * 64 * 16 * 16;
  EXPECT_EQ(work_done(gpt, {.recompute = Recompute::full}, lengths), model + (model - head) / 3);
}

// Experts are shared by ep as they are by dp. Tensor parallelism without sequence parallelism repeats the
// router, hidden x experts, on every rank; with it, rows of the router are shared too.
TEST(StepWork, RepeatsOnlyTheRouterOfExperts) {
  const OpGraph mixtral = read_model(FOREPLAN_SOURCE_DIR "/models/zoo/mixtral-8x7b.json");
  const SequenceLengths lengths{.source = 8};
  const double model = work_of_model(mixtral, lengths);
  const double router = 32.0 * 3 * 2 * 4096 * 8 * 8 * 16;
  EXPECT_EQ(work_done(mixtral, {.dp = 4}, lengths), model);
  EXPECT_EQ(work_done(mixtral, {.dp = 4, .ep = 4}, lengths), model);
  EXPECT_EQ(work_done(mixtral, {.tp = 2}, lengths), model + router);
  EXPECT_EQ(work_done(mixtral, {.tp = 2, .sp = true}, lengths), model);
  // Whole experts dealt over the ranks of tp and dp, each for its own rows.
  EXPECT_EQ(work_done(mixtral, {.dp = 4, .tp = 2, .ep = 8, .sp = true}, lengths), model);
  EXPECT_EQ(work_done(mixtral, {.dp = 2, .tp = 2, .ep = 2, .sp = true}, lengths), model);
}

}  // namespace
}  // namespace foreplan
