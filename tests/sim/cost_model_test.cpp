#include "sim/cost_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

/// Knows copies from device 0 only, and counts how often it is asked.
class CountingModel final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec& spec) const override {
    ++compute_questions;
    return duration_from_seconds(op.flops.count / spec.peak.at(DType::fp32).flops_per_s);
  }
  std::optional<Duration> copy_time(Bytes size, DeviceId source, DeviceId) const override {
    ++copy_questions;
    if (source != DeviceId{0}) return std::nullopt;
    return Duration(size.count);
  }
  Duration dispatch(const DeviceSpec& spec) const override { return spec.launch_overhead; }
  Duration handover() const override { return 9us; }

  mutable int compute_questions = 0;
  mutable int copy_questions = 0;
};

TaskSpec copy(int source, int destination, Bytes bytes) {
  return {.kind = TaskKind::transfer,
          .device = DeviceId{destination},
          .source = DeviceId{source},
          .bytes = bytes};
}

TEST(Cost, AsksTheModelUnlessTheAuthorFixedADuration) {
  TaskGraphBuilder builder(1);
  builder.add({.op = builder.add_op({.key = {.op = "x"}, .flops = {2e12}})});
  builder.add({.op = builder.add_op({.key = {.op = "x"}, .flops = {2e12}, .given = 3us})});
  const CountingModel model;
  const Costs costs = cost(std::move(builder).build(), star(1, 1_GBps), model);
  EXPECT_THAT(costs.duration, ElementsAre(2s, 3us));
  EXPECT_THAT(costs.flow, ElementsAre(0_B, 0_B));
  EXPECT_EQ(costs.handover, 9us);
  EXPECT_EQ(model.compute_questions, 1);
}

// From device 0 the model knows copies: 500 B take 500 ps in all. From device 1 the route tells: up
// and down, 2 us each, then 500 B flow.
TEST(Cost, TakesMeasuredCopiesWholeAndOthersByTheirRoute) {
  TaskGraphBuilder builder(2);
  builder.add(copy(0, 1, 500_B));
  builder.add(copy(1, 0, 500_B));
  const Costs costs = cost(std::move(builder).build(), star(2, 1_GBps, 2us), CountingModel());
  EXPECT_THAT(costs.duration, ElementsAre(Duration(500), 4us));
  EXPECT_THAT(costs.flow, ElementsAre(0_B, 500_B));
}

TEST(Cost, CopiesWithinADeviceTakeTheirMeasuredTimeOrNone) {
  TaskGraphBuilder builder(2);
  builder.add(copy(0, 0, 500_B));
  builder.add(copy(1, 1, 500_B));
  const Costs costs = cost(std::move(builder).build(), star(2, 1_GBps, 2us), CountingModel());
  EXPECT_THAT(costs.duration, ElementsAre(Duration(500), 0us));
  EXPECT_THAT(costs.flow, ElementsAre(0_B, 0_B));
}

// 2 ops on devices of 1 kind: 2 questions. Copies: 2 sizes one way, 1 the other: 3 questions.
TEST(Cost, AsksForEachDistinctOpAndCopyOnce) {
  TaskGraphBuilder builder(2);
  for (int i = 0; i < 30; ++i) {
    const OpId op = builder.add_op({.key = {.op = i % 2 == 0 ? "x" : "y"}, .flops = {1}});
    builder.add({.device = DeviceId{i % 2}, .op = op});
    builder.add({.device = DeviceId{i % 3 == 0 ? 1 : 0}, .op = op});
    builder.add(copy(0, 1, i % 2 == 0 ? 8_B : 16_B));
    builder.add(copy(1, 0, 8_B));
  }
  const CountingModel model;
  cost(std::move(builder).build(), star(2, 1_GBps), model);
  EXPECT_EQ(model.compute_questions, 2);
  EXPECT_EQ(model.copy_questions, 3);
}

// The same op takes 1 s on one device and 250 ms on the other. The longer dispatch holds for all.
TEST(Cost, TellsKindsOfDevicesApart) {
  DeviceSpec slow = plain_device(), fast = plain_device();
  slow.launch_overhead = 5us;
  fast.launch_overhead = 3us;
  fast.peak[DType::fp32] = 4_TFLOPps;
  const Cluster cluster("two", {slow, fast},
                        {{"x", VertexKind::device, 0}, {"y", VertexKind::device, 1}}, {});
  TaskGraphBuilder builder(2);
  const OpId op = builder.add_op({.key = {.op = "x"}, .flops = {1e12}});
  builder.add({.op = op});
  builder.add({.device = DeviceId{1}, .op = op});
  const Costs costs = cost(std::move(builder).build(), cluster, CountingModel());
  EXPECT_THAT(costs.duration, ElementsAre(1s, 250ms));
  EXPECT_EQ(costs.dispatch, 5us);
}

TEST(Cost, RejectsAGraphOfMoreDevicesThanTheClusterHas) {
  EXPECT_THAT([] { cost(TaskGraphBuilder(3).build(), star(2, 1_GBps), CountingModel()); },
              ThrowsMessage<Error>("the task graph uses 3 devices, but cluster 'star' has 2"));
}

TEST(Cost, RejectsACopyThatNoRouteCarries) {
  const Cluster cluster("split", {plain_device()},
                        {{"x", VertexKind::device, 0}, {"y", VertexKind::device, 0}}, {});
  TaskGraphBuilder builder(2);
  builder.add(copy(1, 0, 1_B));
  const TaskGraph graph = std::move(builder).build();
  EXPECT_THAT([&] { cost(graph, cluster, CountingModel()); },
              ThrowsMessage<Error>("cluster 'split': there is no way from device 1 ('y') to device "
                                   "0 ('x')"));
}

/// One thread hands out tasks, records and waits.
class IssuingModel final : public CostModel {
 public:
  Duration compute_time(const Op&, const DeviceSpec&) const override { return 1us; }
  std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return 1us; }
  Duration dispatch(const DeviceSpec&) const override { return {}; }
  Duration handover() const override { return {}; }
  IssueCost issue() const override { return {.task = 4us, .record = 1us, .wait = 2us}; }
  double launches(const Op&) const override { return 2; }
};

// Handing out takes 4 us a kernel, 1 us a record, 2 us a wait; each op is two kernels. a of device 0 at 0;
// then 8 us for it and 1 us for its record, and 2 us for b's wait: b of device 1 at 11 us. c, behind b in
// its stream, which has waited for a already: 11 + 8 = 19 us. d waits for b and c, which stand in one
// stream, so for c alone: 19 + 8 + 1 + 2 = 30 us. e follows a in its stream: 30 + 8 = 38 us.
TEST(Cost, TellsWhenOneThreadHasHandedOutEachTask) {
  TaskGraphBuilder builder(3);
  const OpId op = builder.add_op({.key = {.op = "x"}});
  const auto add = [&](int device, std::vector<TaskId> after) {
    return builder.add({.device = DeviceId{device}, .op = op, .after = std::move(after)});
  };
  const TaskId a = add(0, {});
  const TaskId b = add(1, {a});
  const TaskId c = add(1, {a});
  add(2, {b, c});
  add(0, {a});
  const Costs costs = cost(std::move(builder).build(), star(3, 1_GBps), IssuingModel());
  EXPECT_THAT(costs.issued, ElementsAre(0us, 11us, 19us, 30us, 38us));
}

TEST(Cost, KnowsNoIssuingThreadWhereTheModelKnowsNone) {
  TaskGraphBuilder builder(1);
  builder.add({.op = builder.add_op({.key = {.op = "x"}, .flops = {2e12}})});
  EXPECT_TRUE(cost(std::move(builder).build(), star(1, 1_GBps), CountingModel()).issued.empty());
}

}  // namespace
}  // namespace foreplan
