#include "tools/published_summary.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tools/rank_correlation.hpp"

namespace foreplan {
namespace {

/// A row of `source` on device "d" with these seconds and this forecast MFU.
PublishedForecast row(const std::string& source, double forecast, double measured, double mfu,
                      bool fit) {
  PublishedForecast row;
  row.source = source;
  row.device = "d";
  row.fit = fit;
  row.row.trust = Trust::high;
  row.row.measured.step_time_s = measured;
  row.estimate.step_time = duration_from_seconds(forecast);
  row.estimate.mfu = mfu;
  return row;
}

// Errors 1/2 - 1 = -0.5 and 6/4 - 1 = +0.5.
TEST(PublishedSummary, TellsErrorsBySourceAndOfAll) {
  PublishedRecord record;
  record.rows = {row("b", 1, 2, 0.5, true), row("a", 6, 4, 0.5, true), row("b", 6, 4, 0.5, true)};
  const std::vector<PublishedSummary> summaries = summarise(record, SplitPart::all);
  ASSERT_EQ(summaries.size(), 3U);
  EXPECT_EQ(summaries[0].source, "a");
  EXPECT_EQ(summaries[1].source, "b");
  EXPECT_EQ(summaries[2].source, "all");
  EXPECT_DOUBLE_EQ(summaries[1].mape, 0.5);
  EXPECT_DOUBLE_EQ(summaries[1].bias, 0);
  EXPECT_DOUBLE_EQ(summaries[1].max, 0.5);
  EXPECT_DOUBLE_EQ(summaries[1].spearman, 1);
  EXPECT_EQ(summaries[2].rows, 3);
}

// Measured MFU is forecast MFU x forecast / measured: 0.5 x 1 / 2 = 0.25 in the fit row, 0.5 x 2 / 2 = 0.5
// in the test row, whose FLOPs the naive forecast runs at 0.25: twice the measured time, an error of 1.
TEST(PublishedSummary, TakesNaiveSharesFromFitRowsOnly) {
  PublishedRecord record;
  record.rows = {row("a", 1, 2, 0.5, true), row("b", 2, 2, 0.5, false)};
  const PublishedSummary b = summarise(record, SplitPart::test).front();
  EXPECT_EQ(b.source, "b");
  EXPECT_DOUBLE_EQ(*b.naive.by_gpu, 1);
  EXPECT_FALSE(b.naive.by_source.has_value());
  EXPECT_DOUBLE_EQ(*b.naive.in_sample, 0);
}

// A device's share is the median of its sources' medians: of 0.2 (three rows) and 0.4 (one), 0.3, however
// many rows each has.
TEST(PublishedSummary, CountsEachSourceOnceInADevicesShare) {
  PublishedRecord record;
  for (int i = 0; i < 3; ++i) record.rows.push_back(row("a", 1, 1, 0.2, true));
  record.rows.push_back(row("b", 1, 1, 0.4, true));
  record.rows.push_back(row("c", 1, 1, 0.3, false));
  record.rows.push_back(row("c", 1, 1, 0.6, false));
  record.rows.back().device = "unseen";  // takes the share of all devices
  EXPECT_DOUBLE_EQ(*summarise(record, SplitPart::test).front().naive.by_gpu, (0.0 + 1.0) / 2);
}

TEST(PublishedSummary, CountsNoRowOfLowTrust) {
  PublishedRecord record;
  record.rows = {row("a", 1, 2, 0.5, true)};
  record.rows.front().row.trust = Trust::low;
  const std::vector<PublishedSummary> summaries = summarise(record, SplitPart::all);
  ASSERT_EQ(summaries.size(), 1U);
  EXPECT_EQ(summaries.front().rows, 0);
}

// Of the set of two layouts the slower one, 5 s, is forecast faster than the one of 4 s: 5/4 - 1.
TEST(PublishedSummary, TellsTheRegretOfTheLayoutForecastFastest) {
  PublishedRecord record;
  record.rows = {row("a", 1, 5, 0.5, true), row("a", 2, 4, 0.5, true)};
  EXPECT_EQ(summarise(record, SplitPart::all).front().choices, 0);  // one layout, measured twice
  record.rows.back().estimate.strategy.tp = 2;
  const PublishedSummary a = summarise(record, SplitPart::all).front();
  EXPECT_EQ(a.choices, 1);
  EXPECT_DOUBLE_EQ(a.regret, 0.25);
  EXPECT_DOUBLE_EQ(a.max_regret, 0.25);
}

// On 2 GPUs a step of twice the batch takes 1.25 times as long, a speed-up of 1.6; forecast: as long, 2. So
// 2 / 1.6 - 1. Another micro-batch is another set.
TEST(PublishedSummary, ComparesSpeedUpsOverTheFewestGpus) {
  PublishedRecord record;
  record.rows = {row("a", 1, 2.5, 0.5, true), row("a", 1, 2, 0.5, true), row("a", 1, 9, 0.5, true)};
  record.rows[0].estimate.strategy = {.dp = 2, .micro_batch = 4};
  record.rows[1].estimate.strategy = {.dp = 1, .micro_batch = 4};
  record.rows[2].estimate.strategy = {.dp = 4, .micro_batch = 8};
  const PublishedSummary a = summarise(record, SplitPart::all).front();
  EXPECT_EQ(a.speedups, 1);
  EXPECT_NEAR(a.speedup_mape, 0.25, 1e-12);
}

TEST(PublishedSummary, JudgesMemoryAndWhatDidNotFit) {
  PublishedRecord record;
  record.rows = {row("a", 1, 1, 0.5, true), row("a", 1, 1, 0.5, true), row("a", 1, 1, 0.5, true)};
  record.rows[0].row.measured.memory_gb = 10;  // GB: no kind is told
  record.rows[0].memory = 8_GB;                // -20 %
  record.rows[0].memory_told = true;
  record.rows[0].estimate.feasible = false;  // ran all the same
  record.rows[1].row.out_of_memory = true;
  record.rows[1].estimate.feasible = false;  // right
  record.rows[2].row.out_of_memory = true;   // said to fit: wrong
  const PublishedSummary a = summarise(record, SplitPart::all).front();
  EXPECT_EQ(a.rows, 1);
  EXPECT_EQ(a.memory_rows, 1);
  EXPECT_NEAR(a.memory_bias, -0.2, 1e-12);
  EXPECT_EQ(a.out_of_memory, 2);
  EXPECT_EQ(a.right_out_of_memory, 1);
  EXPECT_EQ(a.wrongly_refused, 1);
}

TEST(RankCorrelation, LooksAtOrderOnly) {
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3}, {10, 1000, 1001}), 1);
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3}, {3, 2, 1}), -1);
  EXPECT_DOUBLE_EQ(spearman({1, 1, 1}, {1, 2, 3}), 0);
  // Ranks 0, 1, 2 and 0.5, 0.5, 2: covariance (-1)(-0.5) + 0 + 1 = 1.5, variances 2 and 1.5.
  EXPECT_NEAR(spearman({1, 2, 3}, {5, 5, 9}), 1.5 / std::sqrt(3.0), 1e-12);
}

}  // namespace
}  // namespace foreplan
