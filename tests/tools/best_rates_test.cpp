#include "tools/best_rates.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

ProfiledOp op(const char* name, Flops flops, Bytes traffic, Duration time) {
  return {.key = {.op = name, .shape = {traffic.count}},
          .flops = flops,
          .traffic = traffic,
          .time = {.mean = time}};
}

// 1 GFLOP in 1 ms are 1 TFLOP/s, half of the peak; 1 MB in 1 us and read and written are 2 TB/s of 4; a
// norm that moves 3 MB in 2 us has 1.5 TB/s, of what the copy has.
TEST(BestRates, StandBesideTheirCeilings) {
  Profile profile;
  profile.ops = {op("linear", {1e9}, 1_MB, 1ms), op("linear", {1e9}, 2_MB, 4ms),
                 op("layer_norm", {1}, 3_MB, 2us), op("layer_norm", {1}, 4_MB, 8us)};
  profile.copies = {
      {.source = DeviceId{0}, .destination = DeviceId{0}, .bytes = 1_MB, .time = {.mean = 1us}},
      {.source = DeviceId{0}, .destination = DeviceId{1}, .bytes = 9_MB, .time = {.mean = 1us}}};
  const DeviceSpec spec{.name = "gpu", .peak = {{DType::fp32, {2e12}}}, .memory_bandwidth = {4e12}};
  const auto rates = best_rates(profile, spec);
  ASSERT_EQ(rates.size(), 3U);
  EXPECT_EQ(rates[0].what, "products fp32");
  EXPECT_DOUBLE_EQ(rates[0].per_s, 1e12);
  EXPECT_DOUBLE_EQ(rates[0].ceiling_per_s, 2e12);
  EXPECT_EQ(rates[1].what, "copy within a device");
  EXPECT_DOUBLE_EQ(rates[1].per_s, 2e12);
  EXPECT_DOUBLE_EQ(rates[1].ceiling_per_s, 4e12);
  EXPECT_EQ(rates[2].what, "layer_norm.forward fp32");
  EXPECT_DOUBLE_EQ(rates[2].per_s, 1.5e12);
  EXPECT_DOUBLE_EQ(rates[2].ceiling_per_s, 2e12);
}

TEST(BestRates, KnowNoCeilingWithoutACopyOrAPeak) {
  Profile profile;
  profile.ops = {op("matmul", {1e9}, 1_MB, 1ms), op("relu", {1}, 3_MB, 2us)};
  for (const BestRate& rate : best_rates(profile, {})) EXPECT_EQ(rate.ceiling_per_s, 0);
  EXPECT_TRUE(best_rates({}, {}).empty());
}

}  // namespace
}  // namespace foreplan
