// The shipped rows: their networks, their split, and `foreplan published`.
#include "tools/published_forecast.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"
#include "tools/published_model.hpp"
#include "tools/published_summary.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path kRows = fs::path(FOREPLAN_SOURCE_DIR) / "models/published";

PublishedRow shipped(const std::string& source, const std::string& id) {
  for (PublishedRow& row : read_published(kRows / (source + ".json"))) {
    if (row.id == id) return std::move(row);
  }
  ADD_FAILURE() << id << " is not shipped";
  return {};
}

std::int64_t parameters(const std::string& source, const std::string& id) {
  const PublishedSources sources = read_published_sources(kRows / "sources.json");
  const PublishedRow row = shipped(source, id);
  return published_model(row, *sources.find(source, row), sources, 1).parameter_count();
}

// Counts that the sources print, to the last digit.
TEST(PublishedModel, HasThePublishedParameters) {
  EXPECT_EQ(parameters("dgxc_benchmarking", "dgxc-v25.03-llama3.18b-h100-bf16-g8"), 8'030'261'248);
  EXPECT_EQ(parameters("torchtitan", "torchtitan-t5-405b-g512-1f1b"), 405'853'388'800);
  EXPECT_EQ(parameters("pytorch_fsdp_blogs", "fsdpblog-a100-7b"), 6'738'415'616);
}

// GPT-2's 50,257 rows and, of width 1,024, the rest of them: 4 ranks of Megatron-LM have 50,688 (99 times 512) rows
// of the one table; where the vocabulary is cut they have 50,256.
TEST(PublishedModel, SharesItsVocabularyAsTheSourceDoes) {
  const PublishedRow row = shipped("vtrain_single", "vtrain-single-0000");
  const auto count = [&](const PublishedSource& facts, int tp) {
    return published_model(row, facts, {}, tp).parameter_count();
  };
  const std::int64_t rest = count({}, 1) - 50'257 * 1024;
  EXPECT_EQ(count({}, 4), rest + 50'688 * 1024);
  PublishedSource cuts, pads;
  cuts.vocabulary_cut = true;
  pads.vocabulary_multiple = 128;
  EXPECT_EQ(count(cuts, 4), rest + 50'256 * 1024);
  EXPECT_EQ(count(pads, 4), rest + 50'304 * 1024);
}

// 671 and 30.5 billion parameters, as their publications round them.
TEST(PublishedModel, HasItsExperts) {
  const auto billions = [](std::int64_t count) { return std::round(count / 1e8) / 10; };
  EXPECT_NEAR(billions(parameters("megatron_bridge", "mbridge-26.08-gb300-DeepSeekV3-mxfp8-l45")),
              671, 1);
  EXPECT_NEAR(billions(parameters("megatron_bridge", "mbridge-26.02-h100-Qwen3_30B_a3B-fp8-l530")),
              30.5, 0.1);
}

// Samples of 128 tokens are packed: a query sees no more.
TEST(PublishedModel, AttendsInsideASampleWhereSamplesArePacked) {
  const PublishedSources sources = read_published_sources(kRows / "sources.json");
  const auto windows = [&](const std::string& id) {
    const PublishedRow row = shipped("nemo_docs", id);
    const OpGraph model = published_model(row, *sources.find("nemo_docs", row), sources, 1);
    std::set<std::int64_t> seen;
    for (std::size_t i = 0; i < model.size(); ++i) {
      const Layer& layer = model.layer(LayerId{static_cast<std::int32_t>(i)});
      if (layer.kind != LayerKind::attention) continue;
      seen.insert(std::get<AttentionShape>(layer.shape).window);
    }
    return seen;
  };
  EXPECT_EQ(windows("nemo-docs-LLAMA2-7B-sft-g8-s4096-783173-l37"), std::set<std::int64_t>{128});
  EXPECT_EQ(windows("nemo-docs-LLAMA2-7B-pretrain-g8-s4096-783173-l18"), std::set<std::int64_t>{0});
}

TEST(PublishedModel, IsRefusedWithoutItsShape) {
  PublishedRow row = shipped("korthikanti_2022", "korthikanti-22B-full");
  row.model.heads.reset();
  EXPECT_THROW(published_model(row, {}, {}, 1), Error);
  row = shipped("korthikanti_2022", "korthikanti-22B-full");
  row.model.kind = "diffusion";
  EXPECT_THROW(published_model(row, {}, {}, 1), Error);
}

/// All shipped rows on data sheets; forecast once for the tests of this file.
class ShippedForecasts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto start = std::chrono::steady_clock::now();
    const RooflineModel costs;
    PublishedForecaster forecaster(kRows, costs);
    record = std::make_unique<PublishedRecord>(forecast_published(kRows, forecaster));
    took = std::chrono::steady_clock::now() - start;
  }
  static void TearDownTestSuite() { record.reset(); }
  static const PublishedForecast& row(const std::string& id) {
    for (const PublishedForecast& forecast : record->rows) {
      if (forecast.row.id == id) return forecast;
    }
    throw std::out_of_range(id);
  }

  static std::unique_ptr<PublishedRecord> record;
  static std::chrono::duration<double> took;
};
std::unique_ptr<PublishedRecord> ShippedForecasts::record;
std::chrono::duration<double> ShippedForecasts::took{};

TEST_F(ShippedForecasts, AreOfNearlyAllRowsAndQuick) {
  EXPECT_EQ(record->rows.size() + record->skipped.size(), 2012U);
  EXPECT_GE(record->rows.size(), 1650U);
  EXPECT_LT(took.count(), 30);  // 0.3 s of processor time, on machines of any load
}

// Nobody runs at more than the data sheet, and a forecast that takes the data sheet for granted knows so.
TEST_F(ShippedForecasts, StayBelowThePeak) {
  for (const PublishedForecast& forecast : record->rows) {
    EXPECT_GT(forecast.estimate.mfu, 0) << forecast.row.id;
    EXPECT_LE(forecast.estimate.mfu, 1) << forecast.row.id;
    EXPECT_GT(forecast.estimate.step_time, Duration::zero()) << forecast.row.id;
  }
}

// The model's FLOPs of a row, by the formula of Narayanan et al. without recomputation, 72 B s L h^2 (1 +
// s/6h + V/12Lh): 4 x 2048 x 48 x 6144^2 x 72 x (1.0556 + 0.0145) = 1.144e15. On 8 A100 of 312 TFLOP/s in
// 1.42 s that is an MFU of 0.323. Causal attention counts half: s/6h becomes s/12h, 0.315.
TEST_F(ShippedForecasts, CountTheFlopsOfTheModel) {
  EXPECT_NEAR(*row("korthikanti-22B-full").measured_mfu(), 0.319, 0.006);
}

TEST_F(ShippedForecasts, TakeEveryRowOfKorthikantiThatHasATime) {
  for (const char* id :
       {"korthikanti-22B-full", "korthikanti-22B-seqsel", "korthikanti-175B-full",
        "korthikanti-175B-seqsel", "korthikanti-530B-full", "korthikanti-530B-seqsel",
        "korthikanti-1T-full", "korthikanti-1T-seqsel"}) {
    EXPECT_TRUE(row(id).error().has_value()) << id;
    EXPECT_TRUE(row(id).assumed.empty()) << id;
    EXPECT_FALSE(row(id).fit) << id;
  }
}

TEST_F(ShippedForecasts, KeepFamiliesOnOneSideOfTheSplit) {
  std::map<std::string, std::set<bool>> sides;
  for (const PublishedForecast& f : record->rows) {
    // The letters that a name begins with, and the width where vTrain's names tell nothing else.
    const std::string& name = f.row.model.name;
    const std::string family = f.source == "vtrain_single"
                                   ? name.substr(0, name.find(" L"))
                                   : name.substr(0, name.find_first_of("0123456789 -_"));
    sides[f.source + "/" + family + "/" + f.row.hardware.gpu].insert(f.fit);
  }
  std::size_t fit = 0;
  for (const auto& [group, side] : sides) {
    EXPECT_EQ(side.size(), 1U) << group;
    fit += *side.begin() ? 1 : 0;
  }
  EXPECT_GE(fit, 8U);
  EXPECT_GE(sides.size() - fit, 20U);
}

// The rows say "full", which the way in which their times came about contradicts; their source's entry counts.
TEST_F(ShippedForecasts, RecomputeAsTheirSourceDoes) {
  EXPECT_EQ(row("vtrain-single-0000").row.parallel.recompute.substr(0, 4), "full");
  EXPECT_EQ(row("vtrain-single-0000").estimate.strategy.recompute, Recompute::none);
  EXPECT_EQ(row("vtrain-multi-0000").estimate.strategy.recompute, Recompute::full);
}

TEST_F(ShippedForecasts, AreTheSameEveryTime) {
  const RooflineModel costs;
  PublishedForecaster forecaster(kRows, costs);
  const PublishedRow again = shipped("vtrain_multi", "vtrain-multi-0000");
  EXPECT_EQ(forecaster.forecast(again, "vtrain_multi").estimate.step_time,
            row("vtrain-multi-0000").estimate.step_time);
}

TEST(PublishedCommand, PrintsOneDocument) {
  const Json json = expect_done({"published", "--json", "--split", "test"}).json();
  EXPECT_GE(json["rows"].size(), 500U);
  for (const char* key : {"id", "source", "strategy", "forecast_s", "measured_s", "error",
                          "forecast_bytes", "measured_bytes"}) {
    EXPECT_TRUE(json["rows"][0].contains(key)) << key;
  }
  for (const char* key : {"source", "rows", "mape", "max", "bias", "spearman", "naive_mape"}) {
    EXPECT_TRUE(json["summary"][0].contains(key)) << key;
  }
  for (const Json& row : json["rows"]) EXPECT_EQ(row["split"], "test");
  EXPECT_TRUE(json["skipped"][0].contains("reason"));
  EXPECT_EQ(json["summary"].back()["source"], "all");
}

TEST(PublishedCommand, TakesAnyFolderOfRows) {
  const CommandFolder folder;
  std::ifstream file(kRows / "korthikanti_2022.json");
  folder.write("mine.json", std::string(std::istreambuf_iterator<char>(file), {}));
  const Json json = expect_done({"published", folder.path("."), "--json"}).json();
  EXPECT_EQ(json["rows"].size() + json["skipped"].size(), 15U);
  // No stack is known of it, and it takes part in no fit.
  EXPECT_EQ(json["rows"][0]["assumed"][0], "stack");
  EXPECT_EQ(json["rows"][0]["split"], "test");
}

TEST(PublishedCommand, SaysWhatIsWrong) {
  const CommandFolder folder;
  expect_complaint(run_command({"published", folder.path(".")}), 2, {"expected a folder"});
  expect_complaint(run_command({"published", "--split", "half"}), 2,
                   {"--split: expected fit, test or all"});
  folder.write("mine.json", "[{\"id\": 3}]");
  expect_complaint(run_command({"published", folder.path(".")}), 2, {"mine.json: /0/id: expected"});
}

}  // namespace
}  // namespace foreplan
