#include "sim/kernel_model.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"
#include "sim/roofline.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// Ten multiprocessors of 10 TFLOP/s, of which products sustain half: 5 each. Caches that never limit; 1 TB/s of
/// memory, of which half is reached; 2 us beside each wave, 3 us beside moving bytes.
DeviceSpec device() {
  return {.name = "even",
          .peak = {{DType::fp16, 100_TFLOPps}, {DType::bf16, 50_TFLOPps}},
          .memory_bandwidth = 1000_GBps,
          .multiprocessors = 10,
          .clock_mhz = 1000,
          .power_w = 800,
          .kernels = KernelFacts{.matrix_efficiency = {{DType::fp16, 0.5}},
                                 .l2_bandwidth = 100'000_GBps,
                                 .tile_overhead = 2us,
                                 .attention_forward_efficiency = 0.5,
                                 .attention_backward_efficiency = 0.4,
                                 .attention_generation = 3,
                                 .memory_efficiency = 0.5,
                                 .memory_ramp = 3us,
                                 .power_w = 800}};
}

Op product(ProductShape shape, Bytes traffic = {}) {
  const double flops = 2.0 * static_cast<double>(shape.batch) * static_cast<double>(shape.m) *
                       static_cast<double>(shape.n) * static_cast<double>(shape.k);
  return {.key = {.op = "matmul", .dtype = DType::fp16},
          .flops = {flops},
          .traffic = traffic,
          .matrix = {flops},
          .product = shape};
}

double microseconds(const Op& op, const DeviceSpec& spec = device()) {
  return seconds(kernel_time(op, spec)) * 1e6;
}

constexpr double kPicosecond = 2e-6;  ///< [us]

// Ten tiles of 256 x 256, one a multiprocessor: each step of k is 2 x 256 x 256 operations at 5 TFLOP/s, 26.2144 ns;
// a thousand of them and the overhead are 28.2144 us. Tiles of 128 x 128: four waves, 26.2144 + 4 x 2 us.
TEST(KernelTime, IsThatOfAFullWave) {
  EXPECT_NEAR(microseconds(product({1, 256, 2560, 1000})), 28.2144, kPicosecond);
}

// A column more is another wave. 256 x 256: 2 x 28.2144; 256 x 128: 21 tiles, 3 (13.1072 + 2) = 45.3216;
// 128 x 128: 42 tiles, 5 (6.5536 + 2) = 42.768, the least; 128 x 64: 82 tiles, 9 (3.2768 + 2) = 47.4912.
TEST(KernelTime, CountsWavesWhole) {
  EXPECT_NEAR(microseconds(product({1, 256, 2561, 1000})), 42.768, kPicosecond);
}

// 10,000 tiles are 1,000 waves of 2,621.44 us and 2 us of overhead: 1.00076 times the FLOPs at 50 TFLOP/s.
TEST(KernelTime, TendsToTheSustainedRateOfLargeProducts) {
  const Op op = product({1, 25600, 25600, 100'000});
  EXPECT_NEAR(microseconds(op) * 1e-6 * 50e12 / op.flops.count, 1 + 2 / 2621.44, 1e-6);
}

// 50 MB at 500 GB/s take 100 us, more than the 28.2144 us of computing.
TEST(KernelTime, IsThatOfMovingAProductsOperandsWhereThatIsLonger) {
  EXPECT_NEAR(microseconds(product({1, 256, 2560, 1000}, 50_MB)), 100, kPicosecond);
}

// Caches of 100 GB/s, 10 a multiprocessor: a step reads 512 numbers of 2 bytes, 102.4 ns.
TEST(KernelTime, WaitsForCachesWhereTheyAreSlow) {
  DeviceSpec spec = device();
  spec.kernels->l2_bandwidth = 100_GBps;
  EXPECT_NEAR(microseconds(product({1, 256, 2560, 1000}), spec), 102.4 + 2, kPicosecond);
}

// One tile of 64 x 64 keeps one multiprocessor busy for 8000 x 1.6384 ns + 2 us = 15.1072 us. In eight parts it
// is 1000 x 1.6384 ns + 2 us; eight partial sums of 4096 numbers, written and read in 4 bytes, are 262,144 bytes
// in 0.524288 us, and another 2 us: 6.162688 us.
TEST(KernelTime, SplitsALongInnerDimension) {
  EXPECT_NEAR(microseconds(product({1, 64, 64, 8000})), 6.162688, kPicosecond);
  // No part is shorter than 256.
  EXPECT_NEAR(microseconds(product({1, 64, 64, 511})), 0.511 * 1.6384 + 2, kPicosecond);
}

// 1 MB at half of 1 TB/s takes 2 us, and the ramp 3 us; what is part of another kernel has none.
TEST(KernelTime, IsBytesAndARampWhereNothingIsMultiplied) {
  Op op{.key = {.op = "add", .dtype = DType::fp16}, .flops = {1e6}, .traffic = 1_MB};
  EXPECT_NEAR(microseconds(op), 5, kPicosecond);
  op.launches = 0;
  EXPECT_NEAR(microseconds(op), 2, kPicosecond);
}

/// Ten heads, 256 queries, 512 keys, 64 features: 4 x 10 x 256 x 512 x 64 = 335,544,320 FLOPs forward.
Op attention(Pass pass) {
  return {.key = {.op = "attention", .pass = pass, .dtype = DType::fp16},
          .matrix = {(pass == Pass::forward ? 1 : 2) * 335'544'320.0},
          .product = {.batch = 10, .m = 256, .n = 512, .k = 64},
          .fused_scores = true};
}

// Twenty tiles of 128 queries: two full waves. Products 6.7108864 us; 1,310,720 exponentials at 160 a clock of
// 1 GHz 8.192 us; both at half the rate 29.8057728 us, and 2 us.
TEST(KernelTime, OfAttentionIsProductsAndExponentials) {
  EXPECT_NEAR(microseconds(attention(Pass::forward)), 31.8057728, kPicosecond);
}

// Five products for four: 1.25 x 13.4217728 = 16.777216 us; with 8.192 us at 0.4 of the rate 62.42304 us, and 2.
TEST(KernelTime, OfAttentionBackwardComputesScoresAnew) {
  EXPECT_NEAR(microseconds(attention(Pass::backward_input)), 64.42304, kPicosecond);
}

// 22 tiles are three waves on ten multiprocessors: 1.1 times the work takes 3/2 of the time.
TEST(KernelTime, OfAttentionCountsWavesWhole) {
  Op op = attention(Pass::forward);
  op.product.batch = 11;
  op.matrix = {1.1 * op.matrix.count};
  EXPECT_NEAR(microseconds(op), 1.5 * 29.8057728 + 2, kPicosecond);
}

// Half of it is masked; the first generation is 1.8 x 1.75 times as slow as the third forward, 1.8 x 1.6 backward.
TEST(KernelTime, OfAttentionKnowsWhatIsMaskedAndTheAgeOfItsKernels) {
  Op forward = attention(Pass::forward), backward = attention(Pass::backward_input);
  forward.executed = 0.5;
  EXPECT_NEAR(microseconds(forward), 29.8057728 / 2 + 2, kPicosecond);
  forward.attention_generation = backward.attention_generation = 1;
  EXPECT_NEAR(microseconds(forward), 29.8057728 / 2 * 3.15 + 2, kPicosecond);
  EXPECT_NEAR(microseconds(backward), 62.42304 * 2.88 + 2, kPicosecond);
  forward.attention_generation = 3;
  EXPECT_NEAR(microseconds(forward), 29.8057728 / 2 + 2, kPicosecond);
}

// Rows that do not begin on 16 bytes run at half of it: 2 x 26.2144 us of computing.
TEST(KernelTime, IsLongerWhereRowsAreMisaligned) {
  DeviceSpec spec = device();
  spec.kernels->misaligned_efficiency = 0.5;
  Op op = product({1, 256, 2560, 1000});
  EXPECT_NEAR(microseconds(op, spec), 28.2144, kPicosecond);
  op.product.misaligned = true;
  EXPECT_NEAR(microseconds(op, spec), 2 * 26.2144 + 2, kPicosecond);
}

// 1,310.72 MFLOP of 50 TFLOP/s are 26.2144 us of the 28.2144; three waves of 45.3216 us computing 39.3216 for the
// 26.22464 that count; a longer kernel multiplies less of its time, none more than all of it.
TEST(ProductActivity, IsTheShareOfItsTimeThatAProductMultiplies) {
  const Op full = product({1, 256, 2560, 1000});
  EXPECT_NEAR(product_activity(full, device(), kernel_time(full, device())), 26.2144 / 28.2144,
              1e-6);
  EXPECT_NEAR(product_activity(full, device(), Duration(52428800)), 0.5, 1e-9);
  EXPECT_EQ(product_activity(full, device(), 1us), 1);
}

// Two heads of 640 queries and keys, 64 features: 209.7152 MFLOP, half of it done, at 50 TFLOP/s 2.097152 us;
// backward, twice the FLOPs and a product more: 5.24288 us.
TEST(ProductActivity, CountsWhatAttentionDoes) {
  Op attention = product({2, 640, 640, 64});
  attention.matrix = attention.flops = Flops{2 * attention.flops.count};
  attention.fused_scores = true;
  attention.executed = 0.5;
  EXPECT_NEAR(product_activity(attention, device(), 20us), 2.097152 / 20, 1e-9);
  attention.key.pass = Pass::backward_input;
  attention.matrix = Flops{2 * attention.matrix.count};
  EXPECT_NEAR(product_activity(attention, device(), 20us), 5.24288 / 20, 1e-9);
}

TEST(ProductActivity, IsNoneWithoutProductsOrKnownKernels) {
  EXPECT_EQ(product_activity(product({}, Bytes{1000}), device(), 1us), 0);
  DeviceSpec unknown = device();
  unknown.kernels.reset();
  EXPECT_EQ(product_activity(product({1, 256, 256, 256}), unknown, 1us), 0);
}

/// Products draw q of what an 800 W limit leaves.
DeviceSpec drawing(double q, double limit = 800) {
  DeviceSpec spec = device();
  spec.kernels->product_power = q;
  spec.power_w = limit;
  return spec;
}

// Products alone: q x^3 = 1, so 8 halves the clock. Twice the limit is half of q: 4^(1/3).
TEST(PowerSlowdown, IsTheCubeRootOfWhatProductsDraw) {
  EXPECT_NEAR(power_slowdown(1, drawing(8)), 2, 1e-9);
  EXPECT_NEAR(power_slowdown(1, drawing(8, 1600)), std::cbrt(4), 1e-9);
}

TEST(PowerSlowdown, IsNoneWhereThePowerSuffices) {
  EXPECT_EQ(power_slowdown(1, drawing(1)), 1);
  EXPECT_EQ(power_slowdown(0, drawing(8)), 1);
  EXPECT_EQ(power_slowdown(1, drawing(0)), 1);
  // 1.2 of a third of the time and 1/2 of the rest are 0.73.
  EXPECT_EQ(power_slowdown(1.0 / 3, drawing(1.2)), 1);
  DeviceSpec unknown = drawing(8);
  unknown.kernels.reset();
  EXPECT_EQ(power_slowdown(1, unknown), 1);
}

// u' q x^3 + (1 - u') / 2 = 1 with u' = (u / x) / (u / x + 1 - u).
TEST(PowerSlowdown, LeavesAsMuchPowerAsThereIs) {
  for (const double share : {0.7, 0.8, 0.9, 1.0}) {
    const double x = 1 / power_slowdown(share, drawing(1.8));
    EXPECT_LT(x, 1) << share;
    const double slow = share / x / (share / x + 1 - share);
    EXPECT_NEAR(slow * 1.8 * x * x * x + (1 - slow) / 2, 1, 0.01) << share;
  }
}

// Formats that nobody measured run at their peak, which for bf16 is the 50 TFLOP/s that fp16 sustains.
TEST(KernelTime, TakesThePeakWhereAFormatWasNotMeasured) {
  Op op = product({1, 256, 2560, 1000});
  op.key.dtype = DType::bf16;
  EXPECT_NEAR(microseconds(op), 28.2144, kPicosecond);
}

TEST(KernelTime, IsTheRooflineWhereNobodyMeasured) {
  DeviceSpec spec = device();
  spec.kernels.reset();
  const Op op = product({1, 256, 2560, 1000}, 50_MB);
  EXPECT_EQ(kernel_time(op, spec), roofline_time(op, spec));
  EXPECT_EQ(KernelModel().compute_time(op, spec), 50us);
}

TEST(KernelTime, RejectsAFormatWithoutPeak) {
  Op op = product({1, 1, 1, 1});
  op.key.dtype = DType::fp8;
  EXPECT_THROW(kernel_time(op, device()), Error);
}

// Sizes around the edges of tiles, splits and waves. Growing k opens splits, so time may drop there: only without
// them it is asked to grow.
TEST(KernelTime, NeverShrinksWithRowsAndColumnsNorBelowTheSustainedRate) {
  const std::int64_t sizes[] = {1, 63, 64, 65, 128, 200, 256, 257, 1000, 1280, 2560, 2561, 5000};
  for (const std::int64_t k : {1, 200, 255, 256, 512, 4096, 20000}) {
    for (const std::int64_t m : sizes) {
      Duration last{};
      for (const std::int64_t n : sizes) {
        const Op op = product({1, m, n, k}, 2_B * (m * k + k * n + m * n));
        const Duration time = kernel_time(op, device());
        EXPECT_GE(time, last) << m << " " << n << " " << k;
        EXPECT_EQ(time, kernel_time(product({1, n, m, k}, op.traffic), device()));
        EXPECT_GE(seconds(time) * (1 + 1e-9), op.matrix.count / 50e12);
        EXPECT_GE(seconds(time) * (1 + 1e-9), static_cast<double>(op.traffic.count) / 500e9);
        last = time;
      }
    }
  }
}

TEST(KernelTime, NeverShrinksWithTheInnerDimensionWhereItIsNotSplit) {
  Duration last{};
  for (std::int64_t k = 1; k < 512; k += 7) {
    const Duration time = kernel_time(product({1, 500, 700, k}), device());
    EXPECT_GE(time, last) << k;
    last = time;
  }
}

TEST(KernelModel, LeavesCopiesToTheLinksAndDispatchToTheDataSheet) {
  DeviceSpec spec = device();
  spec.launch_overhead = 4us;
  const KernelModel model;
  EXPECT_EQ(model.copy_time(1_MB, DeviceId{0}, DeviceId{1}), std::nullopt);
  EXPECT_EQ(model.dispatch(spec), 4us);
  EXPECT_EQ(model.handover(), 0us);
  EXPECT_EQ(model.launches({.key = {.op = "x"}, .launches = 7}), 7);
}

}  // namespace
}  // namespace foreplan
