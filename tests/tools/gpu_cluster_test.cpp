#include "tools/gpu_cluster.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// As NVIDIA's figures for the H100 SXM: 132 multiprocessors at 1.83 GHz boost.
GpuDescription h100() {
  return {.name = "H100",
          .bus_id = "0000:0f:00.0",
          .memory = 80_GB,
          .capability_major = 9,
          .capability_minor = 0,
          .multiprocessors = 132,
          .clock_mhz = 1830,
          .memory_bandwidth = {3.35e12}};
}

// 132 * 1.83e9 * 4096 = 989.4e12, the data sheet's 989.4 TFLOP/s of bf16; 256 of fp32 give 61.8e12.
TEST(GpuSpec, GivesTheDataSheetsPeaks) {
  const DeviceSpec spec = gpu_spec(h100());
  EXPECT_NEAR(spec.peak.at(DType::bf16).flops_per_s, 989.4e12, 0.1e12);
  EXPECT_NEAR(spec.peak.at(DType::tf32).flops_per_s, 494.7e12, 0.1e12);
  EXPECT_NEAR(spec.peak.at(DType::fp32).flops_per_s, 61.84e12, 0.01e12);
  EXPECT_EQ(spec.memory_bandwidth.bytes_per_s, 3.35e12);
  EXPECT_TRUE(spec.concurrent_streams);
}

// 108 multiprocessors at 1.41 GHz: 312 TFLOP/s of bf16, 19.5 of fp32, no fp8.
TEST(GpuSpec, GoesByTheCapability) {
  GpuDescription gpu = h100();
  gpu.capability_major = 8, gpu.multiprocessors = 108, gpu.clock_mhz = 1410;
  const DeviceSpec spec = gpu_spec(gpu);
  EXPECT_NEAR(spec.peak.at(DType::bf16).flops_per_s, 311.9e12, 0.1e12);
  EXPECT_NEAR(spec.peak.at(DType::fp32).flops_per_s, 19.5e12, 0.05e12);
  EXPECT_FALSE(spec.peak.contains(DType::fp8));
  gpu.capability_minor = 7;  // not listed: as 8.6
  EXPECT_NEAR(gpu_spec(gpu).peak.at(DType::fp32).flops_per_s, 39e12, 0.1e12);
}

TEST(GpuCluster, HasLogicalDevicesShareProcessors) {
  const Cluster four = gpu_cluster({h100()}, 4, nullptr);
  EXPECT_EQ(four.devices(), 4);
  EXPECT_EQ(four.processors(), 1);
  GpuDescription second = h100();
  second.bus_id = "0000:10:00.0";
  const Cluster three = gpu_cluster({h100(), second}, 3, nullptr);
  EXPECT_EQ(three.processors(), 2);
  EXPECT_EQ(three.processor_of(DeviceId{0}), three.processor_of(DeviceId{2}));
  EXPECT_FALSE(gpu_cluster({h100(), second}, 2, nullptr).shares_processors());
  EXPECT_EQ(gpu_cluster({h100(), second}, 1, nullptr).specs().size(), 1U);
}

// 10 us and 100 GB/s as in the copies: 1 MB in 20 us, 10 MB in 110 us.
TEST(GpuCluster, TakesItsLinksFromMeasuredCopies) {
  Profile profile;
  profile.dispatch.mean = 1500ns;
  for (const int to : {1, 2}) {
    for (const auto& [bytes, time] : {std::pair(1_MB, 20us), std::pair(10_MB, 110us)}) {
      profile.copies.push_back({.source = DeviceId{0},
                                .destination = DeviceId{to},
                                .bytes = bytes,
                                .time = {.mean = time}});
    }
  }
  const Cluster mesh = gpu_cluster({h100(), h100(), h100()}, 3, &profile);
  EXPECT_NEAR(mesh.links()[0].bandwidth.bytes_per_s, 100e9, 1e3);
  EXPECT_EQ(mesh.device(DeviceId{0}).launch_overhead, 1500ns);
  EXPECT_EQ(mesh.route(DeviceId{0}, DeviceId{1}).size(), 1U);
  profile.copies_together = {
      {{{DeviceId{0}, DeviceId{1}}, {DeviceId{0}, DeviceId{2}}}, 10_MB, {.mean = 220us}}};
  const Cluster star = gpu_cluster({h100(), h100(), h100()}, 3, &profile);
  EXPECT_EQ(star.route(DeviceId{0}, DeviceId{1}).size(), 2U);
  EXPECT_NEAR(seconds(star.links()[0].latency), 5e-6, 1e-11);
}

}  // namespace
}  // namespace foreplan
