#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> gpt2(std::vector<std::string> more = {}) {
  std::vector<std::string> words{"speedup",        "gpt2", "--cluster", "dgx-a100x2",
                                 "--global-batch", "64",   "--seq",     "1024"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Json& family(const Json& table, const std::string& name) {
  for (const Json& row : table["families"]) {
    if (row["family"] == name) return row;
  }
  throw std::out_of_range(name);
}

TEST(SpeedupCommand, PutsFamiliesSideBySide) {
  const Json json = expect_done(gpt2({"--json"})).json();
  EXPECT_EQ(json["devices"], Json({1, 2, 4, 8, 16}));
  EXPECT_EQ(json["families"].size(), 16U);
  const double one = json["baseline"]["one_device_step_time_s"].get<double>();
  EXPECT_EQ(json["baseline"]["devices"], 1);
  for (const Json& row : json["families"]) {
    for (const Json& point : row["points"]) {
      if (!point["obstacle"].is_null()) continue;
      const double step = point["step_time_s"].get<double>();
      EXPECT_NEAR(point["speedup"].get<double>(), one / step, 1e-9 * one / step);
      EXPECT_NEAR(point["efficiency"].get<double>() * point["devices"].get<int>(),
                  point["speedup"].get<double>(), 1e-9);
      EXPECT_LE(point["speedup"].get<double>(), point["devices"].get<int>() * (1 + 1e-9));
    }
  }
  // GPT-2 has 12 heads and 12 layers, and no experts.
  EXPECT_EQ(family(json, "tensor")["points"][3]["obstacle"], "width");
  EXPECT_NE(family(json, "tensor")["points"][3]["reason"].get<std::string>().find("12 heads"),
            std::string::npos);
  EXPECT_EQ(family(json, "gpipe")["points"][4]["obstacle"], "layers");
  EXPECT_EQ(family(json, "expert")["points"][1]["obstacle"], "experts");
}

// A point is what `estimate` says of its strategy.
TEST(SpeedupCommand, AgreesWithEstimate) {
  const Json json = expect_done(gpt2({"--json", "--families", "zero-2,1f1b"})).json();
  ASSERT_EQ(json["families"].size(), 2U);
  const Json& zero = json["families"][0]["points"][2];
  const std::string strategy = "dp=4,zero=2,micro_batch=" + zero["strategy"]["micro_batch"].dump() +
                               ",recompute=" + zero["strategy"]["recompute"].get<std::string>();
  const Json estimate =
      expect_done({"estimate", "gpt2", "--cluster", "dgx-a100x2", "--global-batch", "64", "--seq",
                   "1024", "--strategy", strategy, "--json"})
          .json();
  EXPECT_EQ(zero["step_time_s"], estimate["step_time_s"]);
  EXPECT_EQ(zero["peak_bytes"], estimate["memory"]["peak_bytes"]);
}

// The last row is what `plan` says, on all devices and on fewer.
TEST(SpeedupCommand, AgreesWithPlan) {
  const Json json = expect_done(gpt2({"--json", "--families", "hybrid"})).json();
  const Json& points = json["families"][0]["points"];
  for (const std::size_t at : {std::size_t{2}, points.size() - 1}) {
    const Json plan =
        expect_done({"plan", "gpt2", "--cluster", "dgx-a100x2", "--global-batch", "64", "--seq",
                     "1024", "--devices", json["devices"][at].dump(), "--json"})
            .json();
    EXPECT_EQ(points[at]["step_time_s"], plan["estimate"]["step_time_s"]);
    EXPECT_EQ(points[at]["strategy"], plan["strategy"]);
  }
}

TEST(SpeedupCommand, TellsTheFastestInWords) {
  const std::string text = expect_done(gpt2({"--devices", "4"})).out;
  EXPECT_NE(text.find("gpt2, 64 samples a step, on dgx-a100x2; one device: "), std::string::npos);
  EXPECT_NE(text.find("speed-up on"), std::string::npos);
  EXPECT_NE(text.find("\nfastest: "), std::string::npos);
  EXPECT_EQ(text.find("dp=8"), std::string::npos);
}

// A trillion parameters on eight GPUs.
TEST(SpeedupCommand, SaysThatNothingFits) {
  const CommandResult result = run_command(
      {"speedup", "megatron-1t", "--cluster", "dgx-a100", "--global-batch", "8", "--seq", "2048"});
  EXPECT_EQ(result.status, 3);
  EXPECT_NE(result.out.find("no family fits"), std::string::npos);
  EXPECT_NE(result.err.find("nothing fits"), std::string::npos);
}

TEST(SpeedupCommand, RefusesWhatItDoesNotKnow) {
  expect_complaint(run_command(gpt2({"--families", "zero-9"})), 2,
                   {"--families: expected some of ddp, dataparallel", "'zero-9'"});
  expect_complaint(run_command({"speedup", "gpt2", "--cluster", "dgx-a100", "--global-batch", "8"}),
                   2, {"--seq", "gpt2 reads tokens"});
  expect_complaint(run_command({"speedup", "gpt2", "--seq", "16"}), 2, {"--global-batch"});
}

}  // namespace
}  // namespace foreplan
