#include "sim/roofline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ThrowsMessage;

// plain_device(): 1 TFLOP/s in fp32, 100 GB/s. So 10 FLOP a byte is where the roof bends.

// 2 GFLOP take 2 ms, 100 MB take 1 ms.
TEST(RooflineTime, IsThatOfTheArithmeticWhereThereIsMuch) {
  EXPECT_EQ(
      roofline_time({.key = {.op = "linear"}, .flops = {2e9}, .traffic = 100_MB}, plain_device()),
      2ms);
}

// 2 GFLOP take 2 ms, 500 MB take 5 ms.
TEST(RooflineTime, IsThatOfTheMemoryWhereThereIsLittleArithmetic) {
  EXPECT_EQ(
      roofline_time({.key = {.op = "relu"}, .flops = {2e9}, .traffic = 500_MB}, plain_device()),
      5ms);
}

TEST(RooflineTime, BendsWhereBothTakeEquallyLong) {
  EXPECT_EQ(roofline_time({.key = {.op = "x"}, .flops = {1e9}, .traffic = 100_MB}, plain_device()),
            1ms);
}

TEST(RooflineTime, TakesThePeakOfTheNumberFormat) {
  DeviceSpec spec = plain_device();
  spec.peak[DType::bf16] = 4_TFLOPps;
  Op op{.key = {.op = "linear", .dtype = DType::bf16}, .flops = {2e9}, .traffic = 0_B};
  EXPECT_EQ(roofline_time(op, spec), 500us);
}

TEST(RooflineTime, RejectsAFormatThatTheDeviceHasNoPeakFor) {
  const Op op{.key = {.op = "linear", .shape = {1, 2, 3}, .dtype = DType::fp8}};
  EXPECT_THAT([&] { roofline_time(op, plain_device()); },
              ThrowsMessage<Error>(
                  "device 'plain' has no peak for fp8, which linear.forward[1x2x3] fp8 needs"));
}

TEST(RooflineModel, LeavesCopiesToTheLinksAndDispatchToTheDataSheet) {
  DeviceSpec spec = plain_device();
  spec.launch_overhead = 4us;
  const RooflineModel model;
  EXPECT_EQ(model.compute_time({.key = {.op = "x"}, .flops = {1e9}}, spec), 1ms);
  EXPECT_EQ(model.copy_time(1_MB, DeviceId{0}, DeviceId{1}), std::nullopt);
  EXPECT_EQ(model.dispatch(spec), 4us);
  EXPECT_EQ(model.handover(), 0us);
}

}  // namespace
}  // namespace foreplan
