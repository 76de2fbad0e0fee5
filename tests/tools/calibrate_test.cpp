#include "tools/calibrate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sim/error.hpp"
#include "sim/kernel_model.hpp"
#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path kShipped = fs::path(FOREPLAN_SOURCE_DIR) / "models/published";
constexpr const char* kSource = "vtrain_single";
constexpr const char* kStack = "megatron-deepspeed";
/// No shape of a fit row has this width.
constexpr std::int64_t kHeldOutWidth = 1920;

/// Kernels, but nobody may ask for the width of the held-out row.
class GuardedModel final : public CostModel {
 public:
  Duration compute_time(const Op& op, const DeviceSpec& spec) const override {
    for (const std::int64_t size : op.key.shape) {
      if (size == kHeldOutWidth) throw std::logic_error("asked for a row that is held out");
    }
    return kernel_time(op, spec);
  }
  std::optional<Duration> copy_time(Bytes, DeviceId, DeviceId) const override { return {}; }
  Duration dispatch(const DeviceSpec& spec) const override { return spec.launch_overhead; }
  Duration handover() const override { return Duration::zero(); }
  double launches(const Op& op) const override { return op.launches; }
};

FittedConstant constant(const char* name, double start, double spread) {
  return {.name = name, .start = start, .spread = spread, .least = start / 20, .most = start * 20};
}

/// Two constants and a host's of which next to nothing is known beforehand; the others are nearly known.
CalibrationFamily family(const std::string& device) {
  return {.name = "made",
          .devices = {device},
          .constants = {constant("matrix_efficiency.half", 0.9, 3),
                        constant("memory_efficiency", 0.5, 3),
                        constant("l2_bandwidth_bytes_per_s", 4.5e12, 0.01),
                        constant("tile_overhead_s", 2e-6, 0.01),
                        constant("attention_forward_efficiency", 0.9, 0.01),
                        constant("attention_backward_efficiency", 0.8, 0.01),
                        constant("memory_ramp_s", 2e-6, 0.01)},
          .launches = {constant(kStack, 1e-5, 3)}};
}
const std::vector<double> kTrue{0.7, 0.75, 4.5e12, 2e-6, 0.9, 0.8, 2e-6};
constexpr double kTrueLaunch = 2.5e-5;

void set_width(Json& row, std::int64_t width) {
  row["model"]["hidden"] = width;
  row["model"]["ffn"] = 4 * width;
  row["model"]["head_dim"] = width / row["model"]["heads"].get<std::int64_t>();
}

/// Rows of the shipped file, some narrow, where the host counts, some wide, and one that is held out.
Json chosen_rows() {
  std::ifstream file(kShipped / (std::string(kSource) + ".json"));
  Json all = Json::parse(file), rows = Json::array();
  int seen = 0;
  for (Json& row : all) {
    const std::string name = row["model"]["name"];
    if (!name.starts_with("GPT h1024") || ++seen % 20 != 0) continue;
    set_width(row, rows.size() % 2 == 0 ? 512 : 4096);
    rows.push_back(row);
  }
  for (Json& row : all) {
    const std::string name = row["model"]["name"];
    if (!name.starts_with("GPT h2048") || row["parallel"]["tp"] != 1) continue;
    set_width(row, kHeldOutWidth);
    rows.push_back(row);
    break;
  }
  return rows;
}

class MadeRows : public ::testing::Test {
 protected:
  /// Writes the rows with the times that the true constants give them.
  void SetUp() override {
    const KernelModel costs;
    PublishedForecaster forecaster(kShipped, costs);
    Json rows = chosen_rows();
    fs::path path = folder.write(std::string(kSource) + ".json", rows.dump());
    const std::vector<PublishedRow> read = read_published(path);
    device = forecaster.device_of(read.front());
    DeviceSpec spec = load_device(device);
    spec.kernels = with_constants({.power_w = spec.power_w}, family(device).constants, kTrue);
    forecaster.replace_device(spec);
    Stack stack = load_stack(kStack);
    stack.host_launch = duration_from_seconds(kTrueLaunch);
    forecaster.replace_stack(stack);
    for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
      rows[i]["measured"]["step_time_s"] =
          seconds(forecaster.forecast(read[i], kSource).estimate.step_time);
    }
    fit_rows = static_cast<std::int64_t>(rows.size()) - 1;
    held_out = read.back();
    folder.write(std::string(kSource) + ".json", rows.dump());
  }

  CommandFolder folder;
  std::string device;
  std::int64_t fit_rows = 0;
  PublishedRow held_out;
};

TEST_F(MadeRows, GiveBackTheConstantsThatMadeThem) {
  const GuardedModel costs;
  PublishedForecaster forecaster(kShipped, costs);
  const CalibrationFamily made = family(device);
  const CalibratedFamily found = calibrate(made, folder.path("."), forecaster);
  EXPECT_EQ(found.rows, fit_rows);
  EXPECT_GE(found.rows, 20);
  EXPECT_EQ(found.family, &made);
  EXPECT_NEAR(found.kernels.matrix_efficiency.at(DType::fp16), 0.7, 0.02);
  EXPECT_NEAR(found.kernels.memory_efficiency, 0.75, 0.04);
  ASSERT_EQ(found.launches.size(), 1u);
  EXPECT_NEAR(found.launches.front(), kTrueLaunch, 0.05 * kTrueLaunch);
  EXPECT_LT(found.mape, 0.01);
  EXPECT_LT(found.rms_log, 0.015);
  EXPECT_EQ(found.sources, std::string(kSource) + " " + std::to_string(fit_rows));
}

// The guard throws what calibrate does not catch: it asked for no row that is held out.
TEST_F(MadeRows, ThatAreHeldOutAreNeverForecast) {
  const GuardedModel costs;
  PublishedForecaster forecaster(kShipped, costs);
  ASSERT_FALSE(forecaster.fits(kSource, held_out));
  EXPECT_THROW(forecaster.forecast(held_out, kSource), std::logic_error);
  EXPECT_NO_THROW(calibrate(family(device), folder.path("."), forecaster));
}

TEST_F(MadeRows, OfNoDeviceOfTheFamilyAreRefused) {
  const KernelModel costs;
  PublishedForecaster forecaster(kShipped, costs);
  EXPECT_THROW(calibrate(family("h100-sxm-80gb"), folder.path("."), forecaster), Error);
}

TEST(WithConstants, SetsEachByItsName) {
  for (const std::string& name : constant_names()) {
    const KernelFacts facts = with_constants({}, {{.name = name}}, {0.25});
    const std::vector<double> values{facts.l2_bandwidth.bytes_per_s,
                                     seconds(facts.tile_overhead),
                                     facts.attention_forward_efficiency,
                                     facts.attention_backward_efficiency,
                                     facts.memory_efficiency,
                                     facts.misaligned_efficiency,
                                     facts.product_power,
                                     seconds(facts.memory_ramp)};
    const auto set = std::count(values.begin(), values.end(), 0.25);
    const bool matrix = name.starts_with("matrix_efficiency.");
    EXPECT_EQ(set, matrix ? 0 : 1) << name;
    EXPECT_EQ(facts.matrix_efficiency.size(), !matrix                  ? 0u
                                              : name.ends_with("half") ? 2u
                                                                       : 1u)
        << name;
  }
}

TEST(CalibrateCommand, PrintsOneDocument) {
  const Json json = expect_done({"calibrate", "--family", "v100", "--json"}).json();
  ASSERT_EQ(json["families"].size(), 1u);
  const Json& family = json["families"][0];
  EXPECT_EQ(family["name"], "v100");
  EXPECT_GE(family["rows"].get<int>(), 10);
  EXPECT_GT(family["mape"].get<double>(), 0);
  EXPECT_GT(family["rms_log"].get<double>(), 0);
  EXPECT_TRUE(family["kernels"].contains("memory_efficiency"));
  EXPECT_TRUE(family["host_launch_s"].contains("apex-2020"));
  EXPECT_EQ(family["devices"][0], "v100-sxm2-16gb");
}

// Stacks that stand for the same software take over its host.
TEST(CalibrateCommand, HandsHostsOverToHeirs) {
  const CommandFolder folder;
  expect_done({"calibrate", "--family", "b200", "-o", folder.path("fit")});
  EXPECT_EQ(load_stack(folder.path("fit/stacks/megatron-bridge-a2a.json")).host_launch,
            load_stack(folder.path("fit/stacks/megatron-bridge.json")).host_launch);
}

// What is shipped was written so.
TEST(Calibration, ShipsHostsThatHeirsShare) {
  for (const CalibrationFamily& family : read_calibration(kShipped / "calibration.json")) {
    for (const auto& [stack, heirs] : family.host_heirs) {
      for (const std::string& heir : heirs) {
        EXPECT_EQ(load_stack(heir).host_launch, load_stack(stack).host_launch) << heir;
      }
    }
  }
}

// The files that it writes are device and stack files like any other, with what it printed in them.
TEST(CalibrateCommand, WritesFilesThatAreReadBack) {
  const CommandFolder folder;
  const std::string printed = expect_done({"calibrate", "--family", "v100", "-o",
                                           folder.path("fit"), "--date", "2026-11-25"})
                                  .out;
  EXPECT_NE(printed.find("v100: "), std::string::npos);
  for (const char* name : {"v100-sxm2-16gb", "v100-sxm2-32gb", "v100-sxm3-32gb"}) {
    const DeviceSpec device =
        load_device(folder.path("fit/devices/" + std::string(name) + ".json"));
    ASSERT_TRUE(device.kernels.has_value()) << name;
    EXPECT_NE(device.kernels->fitted_on.find("2026-11-25"), std::string::npos);
    EXPECT_EQ(device.memory_bandwidth, load_device(name).memory_bandwidth);
  }
  const Stack stack = load_stack(folder.path("fit/stacks/apex-2020.json"));
  EXPECT_EQ(stack.name, "apex-2020");
  EXPECT_GT(stack.host_launch, Duration::zero());
}

TEST(CalibrateCommand, RefusesAFamilyThatItDoesNotHave) {
  expect_complaint(run_command({"calibrate", "--family", "tpu"}), 2,
                   {"--family: expected one of", "a100", "'tpu'"});
}

}  // namespace
}  // namespace foreplan
