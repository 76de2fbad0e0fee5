// The devices that foreplan ships: each is read, has every number, and each number has a source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "sim/cluster_io.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const fs::path kDevices = fs::path(FOREPLAN_SOURCE_DIR) / "models/devices";

std::vector<DeviceSpec> devices() {
  std::vector<DeviceSpec> found;
  for (const auto& entry : fs::directory_iterator(kDevices)) {
    found.push_back(read_device(entry.path()));
    EXPECT_EQ(found.back().name, entry.path().stem());
  }
  return found;
}

DeviceSpec device(const std::string& name) { return read_device(kDevices / (name + ".json")); }

double peak(const std::string& name, DType dtype) {
  return device(name).peak.at(dtype).flops_per_s / 1e12;
}

TEST(ShippedDevices, AreAllThere) {
  for (const char* name :
       {"v100-sxm2-16gb", "v100-sxm2-32gb", "v100-sxm3-32gb", "a100-sxm-40gb",  "a100-sxm-80gb",
        "a100-pcie-40gb", "a100-pcie-80gb", "h100-sxm-80gb",  "h100-pcie-80gb", "h100-nvl-94gb",
        "h200-sxm-141gb", "gh200-96gb",     "b200-sxm-180gb", "gb200-186gb",    "l40s",
        "a10g",           "rtx-3090",       "rtx-4090",       "mi250x-gcd",     "mi300x",
        "host",           "h100-sxm-96gb",  "b300-sxm-288gb", "gb300-279gb"}) {
    EXPECT_EQ(device(name).name, name);
  }
}

TEST(ShippedDevices, NameTheirSourceAndHaveAPeak) {
  for (const DeviceSpec& spec : devices()) {
    EXPECT_FALSE(spec.source.empty()) << spec.name;
    EXPECT_TRUE(spec.peak.contains(DType::fp32)) << spec.name;
  }
}

TEST(ShippedDevices, HaveEveryNumberUnlessTheyAreTheHost) {
  for (const DeviceSpec& spec : devices()) {
    if (spec.name == "host") continue;
    EXPECT_GT(spec.multiprocessors, 0) << spec.name;
    EXPECT_GT(spec.l2.count, 0) << spec.name;
    EXPECT_GT(spec.clock_mhz, 0) << spec.name;
    EXPECT_GT(spec.host_bandwidth.bytes_per_s, 0) << spec.name;
    EXPECT_GT(spec.power_w, 0) << spec.name;
    EXPECT_GT(spec.launch_overhead, 0s) << spec.name;
    EXPECT_TRUE(spec.peak.contains(DType::fp16)) << spec.name;
    for (const char* key : {"memory_bytes", "launch_overhead_s", "host_bandwidth_bytes_per_s"}) {
      EXPECT_TRUE(spec.sources.contains(key)) << spec.name << " " << key;
    }
    for (const auto& [key, source] : spec.sources) EXPECT_FALSE(source.empty()) << spec.name << key;
  }
}

// A link of 0 has to say that there is none, for 0 could be forgotten.
TEST(ShippedDevices, SayWhereTheyHaveNoLinks) {
  for (const DeviceSpec& spec : devices()) {
    if (spec.name == "host" || spec.link_bandwidth.bytes_per_s > 0) continue;
    ASSERT_TRUE(spec.sources.contains("link_bandwidth_bytes_per_s")) << spec.name;
    EXPECT_TRUE(spec.sources.at("link_bandwidth_bytes_per_s").starts_with("none")) << spec.name;
  }
}

// 8-bit formats are twice as fast as 16-bit ones and 16-bit ones at least as fast as fp32, on every
// chip so far; data sheets round to 4 digits.
TEST(ShippedDevices, GetFasterWithFewerBits) {
  for (const DeviceSpec& spec : devices()) {
    const auto fp8 = spec.peak.find(DType::fp8), bf16 = spec.peak.find(DType::bf16);
    if (bf16 != spec.peak.end()) {
      EXPECT_GE(bf16->second, spec.peak.at(DType::fp32)) << spec.name;
      EXPECT_EQ(bf16->second, spec.peak.at(DType::fp16)) << spec.name;
    }
    if (fp8 == spec.peak.end()) continue;
    EXPECT_NEAR(fp8->second.flops_per_s / bf16->second.flops_per_s, 2, 0.03) << spec.name;
  }
}

// An fp32 unit does one multiply-add a cycle: 2 x 64 x 80 x 1.53 GHz = 15.7 TFLOP/s (V100, 64 units a
// multiprocessor), 2 x 64 x 108 x 1.41 GHz = 19.5 (A100), 2 x 128 x 132 x 1.98 GHz = 66.9 (H100),
// 2 x 128 x 142 x 2.52 GHz = 91.6 (L40S), 2 x 128 x 304 x 2.1 GHz = 163.4 (MI300X),
// 2 x 64 x 110 x 1.7 GHz = 23.9 (MI250X, one die). Data sheets round, to two digits at worst.
TEST(ShippedDevices, HavePeaksThatFollowFromUnitsAndClock) {
  const auto expect = [](const char* name, int units) {
    const DeviceSpec spec = device(name);
    const double peak = 2.0 * units * spec.multiprocessors * spec.clock_mhz * 1e6;
    EXPECT_NEAR(spec.peak.at(DType::fp32).flops_per_s / peak, 1, 0.01) << name;
  };
  expect("v100-sxm2-16gb", 64);
  expect("a100-sxm-80gb", 64);
  expect("a100-pcie-40gb", 64);
  expect("h100-sxm-80gb", 128);
  expect("h100-pcie-80gb", 128);
  expect("h100-nvl-94gb", 128);
  expect("l40s", 128);
  expect("a10g", 128);
  expect("rtx-3090", 128);
  expect("rtx-4090", 128);
  expect("mi250x-gcd", 64);
  expect("mi300x", 128);
}

// stas00/ml-engineering, compute/accelerator/README.md, "TFLOPS comparison table", without sparsity.
TEST(ShippedDevices, HaveTheDensePeaksOfTheDataSheets) {
  EXPECT_EQ(peak("v100-sxm2-16gb", DType::fp16), 125);
  EXPECT_EQ(peak("a100-sxm-80gb", DType::bf16), 312);
  EXPECT_EQ(peak("a100-sxm-40gb", DType::tf32), 156);
  EXPECT_EQ(peak("h100-sxm-80gb", DType::bf16), 989);
  EXPECT_EQ(peak("h100-sxm-80gb", DType::fp8), 1979);
  EXPECT_EQ(peak("h100-pcie-80gb", DType::bf16), 756);
  EXPECT_EQ(peak("h200-sxm-141gb", DType::tf32), 494.5);
  EXPECT_EQ(peak("b200-sxm-180gb", DType::bf16), 2250);
  EXPECT_EQ(peak("gb200-186gb", DType::fp8), 5000);
  EXPECT_EQ(peak("l40s", DType::bf16), 362);
  EXPECT_EQ(peak("mi250x-gcd", DType::bf16), 191.5);  // half of the card's 383
}

// What data sheets call GB are GiB, of which error correction keeps up to a sixteenth and the driver some
// MiB.
TEST(ShippedDevices, OfferTheMemoryOfTheirNames) {
  const auto expect = [](const char* name, double gib) {
    const double offered = static_cast<double>(device(name).memory.count) / double{1 << 30};
    EXPECT_LE(offered, gib) << name;
    EXPECT_GE(offered, gib * 0.93) << name;
  };
  expect("v100-sxm2-16gb", 16);
  expect("v100-sxm3-32gb", 32);
  expect("a100-sxm-40gb", 40);
  expect("a100-pcie-80gb", 80);
  expect("h100-sxm-80gb", 80);
  expect("h100-nvl-94gb", 94);
  expect("h200-sxm-141gb", 141);
  expect("gh200-96gb", 96);
  expect("b200-sxm-180gb", 180);
  expect("gb200-186gb", 186);
  expect("l40s", 48);
  expect("rtx-4090", 24);
  expect("mi250x-gcd", 64);
  expect("mi300x", 192);
}

// NVLinks times their rate, one direction: 6 x 25, 12 x 25, 18 x 25 and 18 x 50 GB/s.
TEST(ShippedDevices, HaveTheLinksOfTheirGeneration) {
  EXPECT_EQ(device("v100-sxm2-32gb").link_bandwidth, 150_GBps);
  EXPECT_EQ(device("a100-sxm-40gb").link_bandwidth, 300_GBps);
  EXPECT_EQ(device("h100-sxm-80gb").link_bandwidth, 450_GBps);
  EXPECT_EQ(device("b200-sxm-180gb").link_bandwidth, 900_GBps);
}

TEST(ShippedDevices, TellThatAHostThreadDoesEverythingItself) {
  const DeviceSpec host = device("host");
  EXPECT_FALSE(host.concurrent_streams);
  EXPECT_EQ(host.memory, 2_GB);
  EXPECT_EQ(host.memory_bandwidth, 10_GBps);
  EXPECT_EQ(host.peak.at(DType::fp32), 100_GFLOPps);
  EXPECT_TRUE(device("a100-sxm-80gb").concurrent_streams);
}

}  // namespace
}  // namespace foreplan
