#include "planner/scaled_task.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "sim/roofline.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"
#include "tests/planner/shorthand_cluster.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

TEST(Scaled, MultipliesBandwidthAndMemory) {
  DeviceSpec device = fake_device(10_GB);
  device.host_bandwidth = 4_GBps;
  const Cluster cluster = shorthand_node(2, device, 10_GBps);
  const Cluster more = scaled(cluster, {.bandwidth = 1.5, .memory = 2});
  EXPECT_EQ(more.name(), cluster.name());
  EXPECT_EQ(more.devices(), 2);
  EXPECT_EQ(more.device(DeviceId{0}).memory, 20_GB);
  EXPECT_DOUBLE_EQ(more.device(DeviceId{0}).host_bandwidth.bytes_per_s, 6e9);
  ASSERT_EQ(more.links().size(), cluster.links().size());
  for (std::size_t i = 0; i < more.links().size(); ++i) {
    EXPECT_DOUBLE_EQ(more.links()[i].bandwidth.bytes_per_s, 15e9);
    EXPECT_EQ(more.links()[i].latency, cluster.links()[i].latency);
    EXPECT_EQ(more.links()[i].from, cluster.links()[i].from);
  }
  EXPECT_DOUBLE_EQ(more.node_groups().front().intra->bandwidth.bytes_per_s, 15e9);
}

TEST(Scaled, KeepsHalfDuplexLinks) {
  const Cluster cluster("half", {fake_device()},
                        {{.id = "a", .kind = VertexKind::device, .spec = 0},
                         {.id = "b", .kind = VertexKind::device, .spec = 0}},
                        {{VertexId{0}, VertexId{1}, 1_GBps, Duration(1us), false}});
  const Cluster more = scaled(cluster, {.bandwidth = 2});
  EXPECT_EQ(more.capacity_of(LinkId{0}), more.capacity_of(LinkId{1}));
  EXPECT_DOUBLE_EQ(more.links()[1].bandwidth.bytes_per_s, 2e9);
}

TEST(Scaled, RefusesFactorsThatMeanNothing) {
  const Cluster cluster = shorthand_node(2, fake_device());
  for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    EXPECT_NE(complaint([&] { scaled(cluster, {.memory = wrong}); }).find("a factor > 0"),
              std::string::npos);
  }
}

// A step on one device is its ops: twice as fast they take half the time, to a picosecond an op.
TEST(ScaledTask, ComputesFaster) {
  const OpGraph model = mlp({64, 64, 64});
  const Cluster cluster = shorthand_node(2, fake_device());
  const RooflineModel costs;
  const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  const ScaledTask twice(task, {.compute = 2});
  const double before = seconds(estimate(task, {}).step_time);
  EXPECT_NEAR(seconds(estimate(twice.task(), {}).step_time), before / 2, 1e-9 * before);
  // With nothing to send more bandwidth is worth nothing, and more memory never is worth time.
  const ScaledTask wide(task, {.bandwidth = 2, .memory = 2});
  EXPECT_EQ(estimate(wide.task(), {}).step_time, estimate(task, {}).step_time);
}

// A ring all-reduce without latency takes half as long over links twice as wide; compute stays.
TEST(ScaledTask, SendsFaster) {
  const OpGraph model = mlp({64, 64, 64});
  const Cluster cluster = shorthand_node(2, fake_device(), 1_GBps);
  FakeCostModel costs;
  costs.copy = {};
  const RooflineModel sheet;
  const Task task{.model = model, .cluster = cluster, .costs = sheet, .global_batch = 8};
  const ScaledTask twice(task, {.bandwidth = 2});
  const Estimate before = estimate(task, {.dp = 2}), after = estimate(twice.task(), {.dp = 2});
  EXPECT_LT(after.breakdown.exposed_communication, before.breakdown.exposed_communication);
  EXPECT_EQ(after.breakdown.compute, before.breakdown.compute);
}

// Products under a power limit are as slow as before, and more memory is worth no time.
TEST(ScaledTask, KeepsThePowerLimit) {
  class Throttled final : public CostModel {
   public:
    Duration compute_time(const Op&, const DeviceSpec&) const override { return Duration(6us); }
    std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return {}; }
    Duration dispatch(const DeviceSpec&) const override { return {}; }
    Duration handover() const override { return {}; }
    double product_slowdown(double, const DeviceSpec&) const override { return 1.5; }
  };
  const OpGraph model = mlp({64, 64});
  const Cluster cluster = shorthand_node(2, fake_device());
  const Throttled costs;
  const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  const ScaledTask more(task, {.memory = 2});
  EXPECT_EQ(more.task().costs.product_slowdown(1, cluster.device(DeviceId{0})), 1.5);
}

TEST(ScaledTask, KeepsMeasuredCosts) {
  const OpGraph model = mlp({64, 64});
  const Cluster cluster = shorthand_node(2, fake_device());
  FakeCostModel costs;
  costs.op = [](const OpKey&) { return Duration(6us); };
  costs.copy = [](Bytes) { return Duration(9us); };
  costs.dispatch_time = 2us;
  const Task task{.model = model, .cluster = cluster, .costs = costs, .global_batch = 8};
  const ScaledTask more(task, {.bandwidth = 3, .compute = 2});
  const CostModel& scaled = more.task().costs;
  const DeviceSpec& spec = cluster.device(DeviceId{0});
  EXPECT_EQ(scaled.compute_time(Op{}, spec), Duration(3us));
  EXPECT_EQ(scaled.copy_time(1_MB, DeviceId{0}, DeviceId{1}), Duration(3us));
  EXPECT_EQ(scaled.dispatch(spec), Duration(2us));
}

}  // namespace
}  // namespace foreplan
