#include "sim/units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Units, LiteralsAreDecimalUnlessTheySayI) {
  EXPECT_EQ(3_KB, 3000_B);
  EXPECT_EQ(3_MB, 3'000'000_B);
  EXPECT_EQ(3_GB, 3'000'000'000_B);
  EXPECT_EQ(3_KiB, 3072_B);
  EXPECT_EQ(3_MiB, 3'145'728_B);
  EXPECT_EQ(3_GiB, 3'221'225'472_B);
  EXPECT_EQ((3_GBps).bytes_per_s, 3e9);
  EXPECT_EQ((3_MBps).bytes_per_s, 3e6);
  EXPECT_EQ((3_GFLOPps).flops_per_s, 3e9);
  EXPECT_EQ((3_TFLOPps).flops_per_s, 3e12);
}

TEST(Units, SecondsAreTenToTheTwelvePicoseconds) {
  EXPECT_EQ(Duration(1s).count(), 1'000'000'000'000);
  EXPECT_EQ(Duration(1ns).count(), 1000);
  EXPECT_DOUBLE_EQ(seconds(Duration(250ms)), 0.25);
}

TEST(DurationFromSeconds, TakesTheNearestPicosecond) {
  // No double is 1e-6; the nearest is 9.99999999999999954748e-07, so 999999.99999999995 ps.
  EXPECT_EQ(duration_from_seconds(1e-6), 1us);
  EXPECT_EQ(duration_from_seconds(1.4e-12), Duration(1));
  EXPECT_EQ(duration_from_seconds(1.6e-12), Duration(2));
  EXPECT_EQ(duration_from_seconds(-0.25), -250ms);
  EXPECT_EQ(duration_from_seconds(0), 0s);
}

TEST(DurationFromSeconds, RejectsWhatADurationCannotHold) {
  // 2^63 ps are 9223372.036854775808 s.
  EXPECT_NO_THROW(duration_from_seconds(9.223372e6));
  EXPECT_THAT([] { duration_from_seconds(9.2233721e6); },
              ThrowsMessage<Error>(HasSubstr("out of range")));
  EXPECT_THROW(duration_from_seconds(-1e7), Error);
  EXPECT_THROW(duration_from_seconds(std::numeric_limits<double>::infinity()), Error);
  EXPECT_THROW(duration_from_seconds(std::nan("")), Error);
}

// 400 MB / 100 GB/s = 4e8 / 1e11 s = 4 ms. 1 B at 3 GB/s takes 333.33 ps.
TEST(Units, BytesOverBandwidthIsTime) {
  EXPECT_EQ(400_MB / 100_GBps, 4ms);
  EXPECT_EQ(1_B / 3_GBps, Duration(333));
  EXPECT_EQ(0_B / 3_GBps, 0s);
}

// 2 TFLOP at 4 TFLOP/s take half a second.
TEST(Units, FlopsOverRateIsTime) {
  EXPECT_EQ(Flops{2e12} / 4_TFLOPps, 500ms);
  EXPECT_EQ(Flops{0} / 4_TFLOPps, 0s);
}

TEST(Units, RatesMustBePositive) {
  EXPECT_THAT([] { return 1_B / Bandwidth{0}; },
              ThrowsMessage<Error>("expected a rate above 0 B/s, got 0"));
  EXPECT_THAT([] { return Flops{1} / FlopRate{-2}; },
              ThrowsMessage<Error>("expected a rate above 0 FLOP/s, got -2"));
  EXPECT_THROW(1_B / Bandwidth{std::nan("")}, Error);
  EXPECT_THROW(1_GB / Bandwidth{1e-9}, Error);  // 1e18 s
}

TEST(Format, KeepsThreeDigitsAndTheFittingPrefix) {
  EXPECT_EQ(format(1250us), "1.25 ms");
  EXPECT_EQ(format(Duration::zero()), "0 s");
  EXPECT_EQ(format(Duration(7)), "7 ps");
  EXPECT_EQ(format(-1500ns), "-1.5 us");
  EXPECT_EQ(format(Duration(4321s)), "4321 s");
  EXPECT_EQ(format(16'777'216_B), "16.8 MB");
  EXPECT_EQ(format(999_B), "999 B");
  EXPECT_EQ(format(Flops{25.67e6}), "25.7 MFLOP");
  EXPECT_EQ(format(Flops{0}), "0 FLOP");
  EXPECT_EQ(format(Bandwidth{12.5e9}), "12.5 GB/s");
}

// 999.6 ns rounds to 1000 ns, which reads 1 us.
TEST(Format, MovesToTheNextPrefixWhenRoundingReachesIt) {
  EXPECT_EQ(format(Duration(999'600)), "1 us");
  EXPECT_EQ(format(Duration(999'400)), "999 ns");
}

}  // namespace
}  // namespace foreplan
