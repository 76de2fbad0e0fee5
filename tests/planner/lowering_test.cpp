#include "planner/lowering.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/planner/complaint.hpp"
#include "tests/planner/graph_facts.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// Forward 4: fc1, relu1, fc2, loss. Backward 5: loss, fc2 by input and by weight, relu1, fc1 by weight
// (nobody asks for the gradient of the samples). The parameters are one bucket: 1 update. 10 in all.
TEST(Lower, WritesTheStepOfOneDeviceInOrder) {
  const TaskGraph graph = lowered(mnist_mlp(), "", 32);
  EXPECT_EQ(graph.devices, 1);
  EXPECT_EQ(graph.global_batch, 32);
  EXPECT_THAT(
      compute_order(graph, 0),
      ElementsAre("linear.forward 0", "relu.forward 0", "linear.forward 0",
                  "softmax_cross_entropy.forward 0", "softmax_cross_entropy.backward_input 0",
                  "linear.backward_input 0", "linear.backward_weight 0", "relu.backward_input 0",
                  "linear.backward_weight 0", "sgd.optimizer"));
  EXPECT_EQ(graph.size(), 10U);
}

// The same 10 on each of 2 devices, and one ring over the bucket's 101770 numbers: each rank pulls and
// adds one half, then pulls the other. 2 (10 + 3) = 26.
TEST(Lower, AggregatesGradientsOfDataParallelRanksOnce) {
  const TaskGraph graph = lowered(mnist_mlp(), "dp=2", 32);
  EXPECT_EQ(graph.size(), 26U);
  EXPECT_EQ(task_counts(graph).at("transfer"), 4);
  EXPECT_EQ(task_counts(graph).at("accumulate.forward"), 2);
  ASSERT_EQ(graph.collectives.size(), 1U);
  EXPECT_EQ(graph.collectives[0].kind, CollectiveKind::all_reduce);
  EXPECT_EQ(graph.collectives[0].bytes, Bytes{407'080});
  EXPECT_EQ(graph.collectives[0].name, "gradients 0");
  EXPECT_THAT(graph.collectives[0].group, ElementsAre(DeviceId{0}, DeviceId{1}));
}

// A rank: fc1 by columns, relu, fc2 by rows, its sum over ranks (pull, add, pull), fc2's bias, loss;
// loss, fc2 by input, by weight and its bias, relu, fc1 by weight; update. 15, so 30 on two.
TEST(Lower, SharesLayersAmongTensorParallelRanks) {
  const TaskGraph graph = lowered(mnist_mlp(), "tp=2", 32);
  EXPECT_EQ(graph.size(), 30U);
  EXPECT_THAT(compute_order(graph, 0),
              ElementsAre("linear.forward 0", "relu.forward 0", "matmul.forward 0",
                          "bias_add.forward 0", "softmax_cross_entropy.forward 0",
                          "softmax_cross_entropy.backward_input 0", "matmul.backward_input 0",
                          "matmul.backward_weight 0", "bias_add.backward_weight 0",
                          "relu.backward_input 0", "linear.backward_weight 0", "sgd.optimizer"));
  ASSERT_EQ(graph.collectives.size(), 1U);
  EXPECT_EQ(graph.collectives[0].bytes, Bytes{4 * 32 * 10});
  EXPECT_EQ(graph.collectives[0].name, "fc2");
}

// A layer without a partner. Forward: its columns, a pull of the other's, putting them side by side,
// loss; backward: loss, taking its columns out, by weight; update. 8 a rank.
TEST(Lower, GathersALayerWithoutAPartner) {
  const TaskGraph graph = lowered(mlp({784, 10}), "tp=2", 32);
  EXPECT_EQ(graph.size(), 16U);
  EXPECT_THAT(task_counts(graph),
              UnorderedElementsAre(Pair("linear.forward", 2), Pair("transfer", 2),
                                   Pair("gather_columns.forward", 2),
                                   Pair("softmax_cross_entropy.forward", 2),
                                   Pair("softmax_cross_entropy.backward_input", 2),
                                   Pair("gather_columns.backward_input", 2),
                                   Pair("linear.backward_weight", 2), Pair("sgd.optimizer", 2)));
}

// Stage 0 (fc1, relu1): 2 forward, 1 pull and 2 backward a micro-batch; stage 1 (fc2, loss): 1 pull, 2
// forward, 3 backward. One update each. m = 1: 5 + 6 + 2 = 13; m = 4: 4 x 11 + 2 = 46.
TEST(Lower, PassesMicroBatchesFromStageToStage) {
  EXPECT_EQ(lowered(mnist_mlp(), "pp=2,layers=2+1", 32).size(), 13U);
  EXPECT_EQ(lowered(mnist_mlp(), "pp=2,layers=2+1,micro_batch=8", 32).size(), 46U);
  EXPECT_EQ(lowered(mnist_mlp(), "pp=2,layers=2+1,micro_batch=8,schedule=gpipe", 32).size(), 46U);
}

// Two micro-batches on two stages. 1F1B: stage 0 does both forwards before the first backward, stage 1
// takes turns.
TEST(Lower, FollowsTheScheduleOfEachStage) {
  const TaskGraph graph = lowered(mnist_mlp(), "pp=2,layers=2+1,micro_batch=4", 8);
  EXPECT_THAT(compute_order(graph, 0),
              ElementsAre("linear.forward 0", "relu.forward 0", "linear.forward 1",
                          "relu.forward 1", "relu.backward_input 0", "linear.backward_weight 0",
                          "relu.backward_input 1", "linear.backward_weight 1", "sgd.optimizer"));
  EXPECT_THAT(
      compute_order(graph, 1),
      ElementsAre("linear.forward 0", "softmax_cross_entropy.forward 0",
                  "softmax_cross_entropy.backward_input 0", "linear.backward_input 0",
                  "linear.backward_weight 0", "linear.forward 1", "softmax_cross_entropy.forward 1",
                  "softmax_cross_entropy.backward_input 1", "linear.backward_input 1",
                  "linear.backward_weight 1", "sgd.optimizer"));
}

// The output of `enter` goes to `relu` and to `sum`: two gradients come back, which one task adds up.
// The gradient of the sum itself is handed on as it is.
TEST(Lower, AddsUpGradientsOfATensorThatTwoLayersRead) {
  const auto counts = task_counts(lowered(residual(8), "", 4));
  EXPECT_EQ(counts.at("add.forward"), 2);  // sum forward, and the two gradients
  EXPECT_EQ(counts.at("linear.backward_input"), 2);
  EXPECT_EQ(counts.at("linear.backward_weight"), 3);
}

// The sum of the gradients that stage 0 waits for is made on stage 1, where they are.
TEST(Lower, AddsUpGradientsBeforeTheyLeaveTheStage) {
  const TaskGraph graph = lowered(residual(8), "pp=2,layers=1+4", 4);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (is_transfer(graph, i) || key_of(graph, i).op != "add") continue;
    EXPECT_EQ(graph.device[i], DeviceId{1});
  }
  // One tensor of 4 x 8 numbers there, one gradient of the same size back.
  EXPECT_EQ(pulled_bytes(graph, 0), Bytes{4 * 32});
  EXPECT_EQ(pulled_bytes(graph, 1), Bytes{4 * 32});
}

// Two micro-batches on the last stage: the two gradients of the stage's input (from `relu` and `sum`)
// are added up before the next micro-batch begins, as the other stage waits for them.
TEST(Lower, AddsUpGradientsForTheStageBeforeInTurn) {
  const TaskGraph graph = lowered(residual(8), "pp=2,layers=1+4,micro_batch=2", 4);
  const std::vector<std::string> order = compute_order(graph, 1);
  const auto first_of_next = std::find(order.begin(), order.end(), "relu.forward 1");
  ASSERT_NE(first_of_next, order.end());
  EXPECT_EQ(*(first_of_next - 1), "add.forward 0");
  EXPECT_EQ(*(first_of_next - 2), "relu.backward_input 0");
}

TEST(Lower, AccumulatesGradientsFromTheSecondMicroBatchOn) {
  for (const char* strategy : {"micro_batch=2", "dp=2,micro_batch=2", "tp=2,micro_batch=2",
                               "pp=2,layers=2+1,micro_batch=2"}) {
    const TaskGraph graph = lowered(mnist_mlp(), strategy, 8);
    int seen = 0;
    for (std::size_t i = 0; i < graph.size(); ++i) {
      if (is_transfer(graph, i) || key_of(graph, i).pass != Pass::backward_weight) continue;
      EXPECT_EQ(key_of(graph, i).accumulate, graph.micro_batch[i] > 0);
      ++seen;
    }
    EXPECT_GT(seen, 0);
  }
}

// Adam keeps two moments: gradient read; parameter and both moments written.
TEST(Lower, UsesTheOptimizerThatIsAskedFor) {
  const TaskGraph graph = lowered(mnist_mlp(), "", 4, {.optimizer = Optimizer::adam});
  const std::size_t last = graph.size() - 1;
  EXPECT_EQ(key_of(graph, last).op, "adam");
  EXPECT_THAT(key_of(graph, last).shape, ElementsAre(101'770));
  EXPECT_EQ(graph.reads[last].size(), 1U);
  EXPECT_EQ(graph.writes[last].size(), 3U);
}

// Buckets of at most one tensor: four updates and four rings, the last layer's first.
TEST(Lower, AggregatesBucketByBucketInOrderOfReadiness) {
  const TaskGraph graph =
      lowered(mnist_mlp(), "dp=2", 4, {.buckets = {.first = Bytes{1}, .others = Bytes{1}}});
  EXPECT_EQ(task_counts(graph).at("sgd.optimizer"), 8);
  std::vector<Bytes> sizes;
  for (const Collective& collective : graph.collectives) sizes.push_back(collective.bytes);
  EXPECT_THAT(sizes, ElementsAre(Bytes{40}, Bytes{5120}, Bytes{512}, Bytes{401'408}));
}

// The ring of fc2's bucket waits for fc2's weight gradient only, and so runs beside the rest of
// backward.
TEST(Lower, StartsAggregationAsSoonAsABucketIsComplete) {
  const TaskGraph graph = lowered(mnist_mlp(), "dp=2", 4,
                                  {.buckets = {.first = Bytes{5000}, .others = Bytes{1 << 20}}});
  const auto first = static_cast<std::size_t>(
      std::find(graph.collective.begin(), graph.collective.end(), 0) - graph.collective.begin());
  ASSERT_LT(first, graph.size());
  EXPECT_EQ(graph.stream[first], kCollectiveStream);
  for (const TaskId before : graph.after[first]) {
    EXPECT_EQ(key_of(graph, index(before)).pass, Pass::backward_weight);
    EXPECT_EQ(graph.node_names[static_cast<std::size_t>(graph.node[index(before)])], "fc2");
  }
}

std::set<StreamId> streams(const TaskGraph& graph) {
  return {graph.stream.begin(), graph.stream.end()};
}

TEST(Lower, UsesOneStreamOfDevicesThatHaveNoOthers) {
  for (const char* strategy : {"dp=2", "tp=2", "pp=2,layers=1+2", "dp=2,tp=2,pp=2,layers=2+1"}) {
    const OpGraph model = mnist_mlp();
    EXPECT_THAT(streams(lowered(model, strategy, 8, {.concurrent_streams = false})),
                ElementsAre(kComputeStream));
    EXPECT_GT(streams(lowered(model, strategy, 8)).size(), 1U);
  }
}

TEST(Lower, LeavesOutEveryExchangeWhenDevicesWorkAlone) {
  for (const char* strategy : {"dp=2,micro_batch=2", "tp=2", "pp=2,layers=1+2,micro_batch=2",
                               "dp=2,tp=2,pp=2,layers=2+1"}) {
    const TaskGraph alone = lowered(mnist_mlp(), strategy, 8, {.communication = false});
    EXPECT_TRUE(alone.collectives.empty());
    EXPECT_THAT(alone.kind, Each(TaskKind::compute));
    // Nothing but the exchange is missing.
    auto whole = task_counts(lowered(mnist_mlp(), strategy, 8));
    whole.erase("transfer");
    whole.erase("accumulate.forward");
    EXPECT_EQ(task_counts(alone), whole);
  }
}

TEST(Lower, RefusesWhatCannotBeLaidOut) {
  const auto complain = [](const Strategy& strategy, std::int64_t batch) {
    return complaint([&] { lower(mnist_mlp(), strategy, batch, {}); });
  };
  EXPECT_EQ(complain({.pp = 2}, 8),
            "strategy: lowering needs the layers of each stage (layers=...)");
  EXPECT_EQ(complain({.dp = 3}, 8), "strategy: dp=3 does not divide the global batch of 8");
  EXPECT_EQ(complain({.zero = 1}, 8),
            "strategy: zero > 0 (sharded data parallelism) can be forecast, but not yet run");
  EXPECT_EQ(complain({}, 0), "global batch: expected >= 1, got 0");
  EXPECT_THAT(complain({.dp = 65'536, .tp = 65'536}, 8),
              ::testing::HasSubstr("4294967296 devices"));
}

}  // namespace
}  // namespace foreplan
