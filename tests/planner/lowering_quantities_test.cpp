#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "planner/lowering.hpp"
#include "tests/planner/graph_facts.hpp"
#include "tests/planner/models.hpp"

// What lowering keeps whatever the strategy: arithmetic, and bytes on the wire by formula.

namespace foreplan {
namespace {

// One sample of 784-128-10: 2 x 784 x 128 + 2 x 128 x 10 = 200704 + 2560 forward and by weight, 2560 by
// input (fc2 only).
TEST(LoweredFlops, OfOneDeviceMatchAHandComputedCase) {
  const TaskGraph graph = lowered(mnist_mlp(), "", 32);
  EXPECT_EQ(product_flops(graph, Pass::forward), 32 * 203'264.0);
  EXPECT_EQ(product_flops(graph, Pass::backward_weight), 32 * 203'264.0);
  EXPECT_EQ(product_flops(graph, Pass::backward_input), 32 * 2'560.0);
}

TEST(LoweredFlops, OfMatrixProductsAreConserved) {
  const OpGraph model = every_kind(24);
  const TaskGraph one = lowered(model, "", 24);
  for (const char* strategy :
       {"micro_batch=3", "dp=2", "dp=3,micro_batch=2", "tp=2", "tp=3,micro_batch=12", "tp=4",
        "pp=2,layers=3+7", "pp=3,layers=3+5+2,micro_batch=6,schedule=gpipe",
        "dp=2,tp=2,pp=2,layers=8+2,micro_batch=4", "dp=2,tp=3,pp=4,layers=3+5+1+1,micro_batch=2"}) {
    const TaskGraph graph = lowered(model, strategy, 24);
    for (const Pass pass : {Pass::forward, Pass::backward_input, Pass::backward_weight}) {
      EXPECT_EQ(product_flops(graph, pass), product_flops(one, pass)) << strategy;
    }
  }
}

// A ring moves 2 (d - 1)/d S a rank. S = 407080 B of gradients; 2 ranks: S each. 101770 numbers do not
// divide by 3 or 4, so there only the sum over ranks, 2 (d - 1) S, is exact.
TEST(LoweredTraffic, OfDataParallelismIsThatOfARing) {
  const OpGraph model = mnist_mlp();
  EXPECT_EQ(pulled_bytes(lowered(model, "dp=2", 24), 0), Bytes{407'080});
  EXPECT_EQ(pulled_bytes(lowered(model, "dp=2", 24), 1), Bytes{407'080});
  for (const int d : {2, 3, 4, 6}) {
    const auto strategy = "dp=" + std::to_string(d);
    EXPECT_EQ(pulled_bytes(lowered(model, strategy, 24)), Bytes{407'080} * 2 * (d - 1));
  }
}

TEST(LoweredTraffic, OfDataParallelismDoesNotGrowWithMicroBatches) {
  EXPECT_EQ(pulled_bytes(lowered(mnist_mlp(), "dp=2,micro_batch=1", 24)),
            pulled_bytes(lowered(mnist_mlp(), "dp=2", 24)));
}

// fc1-fc2 and fc3-fc4 of widths 8 8 8 8 8 are pairs. Forward each all-reduces its output, 12 x 8
// numbers; backward fc3 its input gradient, 12 x 8 numbers; fc1's input are the samples. In all three
// rings of S = 384 B: 2 (t - 1) x 3 S over all ranks.
TEST(LoweredTraffic, OfTensorParallelPairsIsOneRingForwardAndOneBackward) {
  const OpGraph model = mlp({8, 8, 8, 8, 8});
  for (const int t : {2, 4, 8}) {
    const auto strategy = "tp=" + std::to_string(t);
    EXPECT_EQ(pulled_bytes(lowered(model, strategy, 12)), Bytes{3 * 384} * 2 * (t - 1));
  }
}

// 8 -> 8 without partner: an all-gather of 12 x 8 numbers, (t - 1) S over all ranks, and no gradient of
// the samples.
TEST(LoweredTraffic, OfAGatheredLayerIsAnAllGather) {
  for (const int t : {2, 4}) {
    EXPECT_EQ(pulled_bytes(lowered(mlp({8, 8}), "tp=" + std::to_string(t), 12)),
              Bytes{384} * (t - 1));
  }
}

// fc3 of 8 8 8 8 has no partner; its input is no sample, so its gradient is all-reduced: 384 B like the
// output of fc2 before. Two rings and one all-gather of 384 B.
TEST(LoweredTraffic, OfAGatheredLayerHasARingForItsInputsGradient) {
  for (const int t : {2, 4}) {
    EXPECT_EQ(pulled_bytes(lowered(mlp({8, 8, 8, 8}), "tp=" + std::to_string(t), 12)),
              Bytes{384} * 2 * (t - 1) * 2 + Bytes{384} * (t - 1));
  }
}

// Behind fc1 (128 wide) and behind fc2 (64 wide): 4 B x 24 samples x width, there and back.
TEST(LoweredTraffic, OfStagesIsTheBoundaryThereAndBack) {
  const OpGraph model = mlp({16, 128, 64, 8});
  for (const char* rest : {"", ",micro_batch=4", ",micro_batch=1,schedule=gpipe"}) {
    const TaskGraph graph = lowered(model, std::string("pp=3,layers=2+2+1") + rest, 24);
    EXPECT_EQ(pulled_bytes(graph), Bytes{2 * 4 * 24 * (128 + 64)});
    EXPECT_EQ(pulled_bytes(graph, 0), Bytes{4 * 24 * 128});
    EXPECT_EQ(pulled_bytes(graph, 2), Bytes{4 * 24 * 64});
  }
}

// tp = 2 inside a pair: each rank hands on its half of the columns, so that a cut there moves no more
// than without tp. The ring of fc2 (24 x 8 numbers: 768 B) comes on top: 2 (t - 1) S.
TEST(LoweredTraffic, OfACutInsideAPairIsSharedByTheRanks) {
  const TaskGraph graph = lowered(mlp({16, 128, 8}), "tp=2,pp=2,layers=2+1", 24);
  EXPECT_EQ(pulled_bytes(graph), Bytes{2 * 4 * 24 * 128} + Bytes{2 * 768});
}

}  // namespace
}  // namespace foreplan
