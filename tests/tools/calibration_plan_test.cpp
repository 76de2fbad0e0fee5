#include "tools/calibration_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/tools/command_files.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string file_of(const std::string& family) {
  return R"({"schema": "foreplan.calibration/1", "source": "a test", "families": [)" + family +
         "]}";
}

std::vector<CalibrationFamily> read(const std::string& family) {
  const CommandFolder folder;
  return read_calibration(folder.write("calibration.json", file_of(family)));
}

std::string complaint(const std::string& family) {
  try {
    read(family);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

std::string family_with(const std::string& constants, const std::string& more = "") {
  return R"({"name": "f", "devices": ["d"], "attention_generation": 2, "constants": {)" +
         constants + "}" + more + "}";
}

// [start, spread] may move twentyfold each way; the third number is the most that it may be.
TEST(CalibrationPlan, TellsStartsAndHowFarTheyMove) {
  const auto families = read(
      R"({"name": "f", "devices": ["a", "b"], "heirs": ["c"], "attention_generation": 3,
          "constants": {"memory_efficiency": [0.8, 0.2, 1], "tile_overhead_s": [2e-6, 0.6]},
          "host_launch_s": {"stack": [5e-6, 0.5]}, "host_heirs": {"stack": ["like it"]}})");
  ASSERT_EQ(families.size(), 1u);
  const CalibrationFamily& f = families.front();
  EXPECT_THAT(f.devices, ElementsAre("a", "b"));
  EXPECT_THAT(f.heirs, ElementsAre("c"));
  EXPECT_EQ(f.attention_generation, 3);
  ASSERT_EQ(f.constants.size(), 2u);
  EXPECT_EQ(f.constants[0].name, "memory_efficiency");
  EXPECT_EQ(f.constants[0].start, 0.8);
  EXPECT_EQ(f.constants[0].spread, 0.2);
  EXPECT_DOUBLE_EQ(f.constants[0].least, 0.04);
  EXPECT_EQ(f.constants[0].most, 1);
  EXPECT_DOUBLE_EQ(f.constants[1].most, 4e-5);
  ASSERT_EQ(f.launches.size(), 1u);
  EXPECT_EQ(f.launches[0].name, "stack");
  EXPECT_EQ(f.launches[0].start, 5e-6);
  EXPECT_THAT(f.host_heirs.at("stack"), ElementsAre("like it"));
}

TEST(CalibrationPlan, NeedsNoHostsAndNoHeirs) {
  const auto families = read(family_with(""));
  EXPECT_THAT(families.front().launches, IsEmpty());
  EXPECT_THAT(families.front().heirs, IsEmpty());
}

TEST(CalibrationPlan, SaysWhatIsWrong) {
  EXPECT_THAT(
      complaint(family_with(R"("efficiency": [1, 1])")),
      HasSubstr("/families/0/constants/efficiency: expected one of matrix_efficiency.half"));
  EXPECT_THAT(complaint(family_with(R"("memory_ramp_s": [1])")),
              HasSubstr("/constants/memory_ramp_s: expected [start, spread]"));
  EXPECT_THAT(complaint(family_with(R"("memory_ramp_s": [0, 1])")),
              HasSubstr("/constants/memory_ramp_s/0: expected"));
  EXPECT_THAT(complaint(family_with(R"("memory_efficiency": [0.9, 1, 0.8])")),
              HasSubstr("expected a start that is at most the most"));
  EXPECT_THAT(complaint(family_with("", R"(, "hosts": {})")), HasSubstr("hosts"));
  EXPECT_THAT(complaint(family_with("", R"(, "host_heirs": {"other": []})")),
              HasSubstr("/host_heirs/other: expected a stack of host_launch_s"));
  EXPECT_THAT(complaint(R"({"name": "f", "devices": [], "attention_generation": 4,
                            "constants": {}})"),
              HasSubstr("attention_generation: expected"));
  EXPECT_THAT(complaint(R"({"name": "f"})"), HasSubstr("devices"));
}

TEST(CalibrationPlan, OfWhatIsShippedIsReadAndHasFewConstants) {
  const auto families = read_calibration(FOREPLAN_SOURCE_DIR "/models/published/calibration.json");
  EXPECT_GE(families.size(), 4u);
  for (const CalibrationFamily& family : families) {
    EXPECT_LE(family.constants.size(), 12u) << family.name;
    EXPECT_FALSE(family.devices.empty()) << family.name;
  }
}

}  // namespace
}  // namespace foreplan
