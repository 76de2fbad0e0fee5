#include "planner/gradient_sync.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

AggregatedGradients done(const std::vector<BucketSend>& buckets, bool overlapped,
                         const CostModel::Overlap& overlap = {}) {
  // Three units of 10 us, from 100 us on.
  return gradients_done(
      {{.start = 100us, .finish = 130us, .times = {10us, 10us, 10us}, .buckets = &buckets}},
      overlapped, overlap);
}

// Buckets are full at 110, 120 and 130 us: T = max(110 + 12 + 3 + 3, 120 + 3 + 3, 130 + 3) = 133 us.
TEST(GradientsDone, GoBucketBehindBucket) {
  const std::vector<BucketSend> buckets{{0, 12us}, {1, 3us}, {2, 3us}};
  EXPECT_EQ(done(buckets, true).ready, 133us);
  EXPECT_EQ(done(buckets, true).finish, 130us);
}

// T = max(110 + 25 + 3 + 3, ...) = 141 us: the first holds up the others.
TEST(GradientsDone, WaitForASlowBucket) {
  EXPECT_EQ(done({{0, 25us}, {1, 3us}, {2, 3us}}, true).ready, 141us);
}

TEST(GradientsDone, FollowBackwardWhereNothingOverlaps) {
  EXPECT_EQ(done({{0, 12us}, {1, 3us}, {2, 3us}}, false).ready, 148us);
}

TEST(GradientsDone, AreThereAtOnceWithoutReplicas) { EXPECT_EQ(done({}, true).ready, 130us); }

// From 110 us a bucket of 30 us beside 20 us of backward, which takes 1.5 times as long: 30 us, to 140. In
// that time the bucket, at 1 / 1.2 of its speed, does 25 us; the last 5 us it is alone: 145 us.
TEST(GradientsDone, SlowDownWhatRunsBesideThem) {
  const AggregatedGradients both = done({{0, 30us}}, true, {.compute = 1.5, .communication = 1.2});
  EXPECT_EQ(both.finish, 140us);
  EXPECT_EQ(both.ready, 145us);
}

// A bucket of 5 us takes 6 us beside backward, which in these does 4 us: it ends 2 us late.
TEST(GradientsDone, SlowOnlyWhileABucketIsUnderWay) {
  const AggregatedGradients both = done({{0, 5us}}, true, {.compute = 1.5, .communication = 1.2});
  EXPECT_EQ(both.finish, 132us);
  EXPECT_EQ(both.ready, 132us);
}

// 1 MiB first, then 25 MiB each, the rest last; 4 bytes a parameter.
TEST(PlanBuckets, FillInTheOrderOfBackward) {
  const DeviceSpec device{.name = "d", .memory = 1_GB, .memory_bandwidth = 1_GBps};
  const Cluster cluster("pair", {device},
                        {{.id = "a", .kind = VertexKind::device, .spec = 0},
                         {.id = "b", .kind = VertexKind::device, .spec = 0}},
                        {{VertexId{0}, VertexId{1}, 1_GBps, Duration{}}});
  const Strategy strategy{.dp = 2};
  const RankGroups groups(cluster, strategy);
  UnitWork small, large;
  small.dense_parameters = 1000;                // 4 kB
  large.dense_parameters = 30 * (1 << 20) / 4;  // 30 MiB
  const std::vector<BucketSend> buckets =
      plan_buckets({&small, &large, &small}, strategy, groups, {});
  // With the second unit the first bucket and one of 25 MiB are full; 4 MiB and 8 kB are left to the end.
  ASSERT_EQ(buckets.size(), 2U);
  EXPECT_EQ(buckets[0].unit, 1U);
  EXPECT_EQ(buckets[0].time, Bytes{26 << 20} / 1_GBps);
  EXPECT_EQ(buckets[1].unit, 2U);
  EXPECT_EQ(buckets[1].time, Bytes{(4 << 20) + 8000} / 1_GBps);
  EXPECT_TRUE(plan_buckets({&small}, {}, RankGroups(cluster, {}), {}).empty());
  // 14 MiB for each of two ranks: the first holds 28 MiB, the rest 2 MiB and 8 kB.
  const std::vector<BucketSend> larger = plan_buckets({&small, &large, &small}, strategy, groups,
                                                      {.bucket_per_rank = Bytes{14 << 20}});
  ASSERT_EQ(larger.size(), 2U);
  EXPECT_EQ(larger[0].time, Bytes{28 << 20} / 1_GBps);
  EXPECT_EQ(larger[1].time, Bytes{(2 << 20) + 8000} / 1_GBps);
}

}  // namespace
}  // namespace foreplan
