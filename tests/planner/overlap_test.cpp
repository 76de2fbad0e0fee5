#include "planner/overlap.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

TEST(TimeBeside, ExposesWhatOutlastsCompute) {
  EXPECT_EQ(time_beside(30us, 20us, {}), 10us);
  EXPECT_EQ(time_beside(20us, 30us, {}), 0us);
  EXPECT_EQ(time_beside(20us, 0us, {}), 20us);
}

// An exchange of 10 us beside 40 us of compute that takes 1.25 times as long meanwhile: in 10 us 8 us of it are
// done, 32 us are left: 42 us, 2 us more than alone.
TEST(TimeBeside, SlowsComputeDownWhileBothRun) {
  EXPECT_EQ(time_beside(10us, 40us, {.compute = 1.25}), 2us);
}

// 20 us of compute take 25 us beside an exchange of 36 us, of which 25 / 1.2 us are then done and 15.1667 us
// left: 40.1667 us, 20.1667 us more than compute alone.
TEST(TimeBeside, SlowsBothDown) {
  EXPECT_EQ(time_beside(36us, 20us, {.compute = 1.25, .communication = 1.2}), Duration(20'166'667));
}

TEST(TimeBeside, NeverExceedsOneBehindTheOtherNorTheSlowDownOfAll) {
  for (const auto e : {0us, 1us, 7us, 50us}) {
    for (const auto w : {0us, 3us, 20us}) {
      const Duration exposed = time_beside(e, w, {.compute = 1.3});
      EXPECT_GE(exposed, std::max(0us, e - w));
      EXPECT_LE(exposed, e);
    }
  }
}

DeviceSpec device(int multiprocessors, int held) {
  DeviceSpec spec;
  spec.multiprocessors = multiprocessors;
  spec.collective_multiprocessors = held;
  return spec;
}

/// Data sheets alone.
class Sheets final : public CostModel {
 public:
  Duration compute_time(const Op&, const DeviceSpec&) const override { return {}; }
  std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return {}; }
  Duration dispatch(const DeviceSpec&) const override { return {}; }
  Duration handover() const override { return {}; }
};

// 16 of 80 multiprocessors held: the other 64 take 80 / 64 = 1.25 times as long.
TEST(Overlap, TakesTheMultiprocessorsThatACollectiveHolds) {
  EXPECT_DOUBLE_EQ(Sheets().overlap(device(80, 16)).compute, 1.25);
  EXPECT_DOUBLE_EQ(Sheets().overlap(device(80, 16)).communication, 1);
}

TEST(Overlap, IsFreeWhereNobodyToldWhatIsHeld) {
  EXPECT_DOUBLE_EQ(Sheets().overlap(device(80, 0)).compute, 1);
  EXPECT_DOUBLE_EQ(Sheets().overlap(device(0, 16)).compute, 1);
}

}  // namespace
}  // namespace foreplan
