#include "tools/link_fit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"
#include "tests/sim/temporary_file.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;

MeasuredCollective series(int ranks, bool in_switch, const std::vector<std::int64_t>& sizes,
                          double (*time)(double ranks, double bytes)) {
  MeasuredCollective result{.id = std::to_string(ranks),
                            .source = "made up",
                            .trust = "high",
                            .device = "d",
                            .ranks = ranks,
                            .in_switch = in_switch};
  for (const std::int64_t size : sizes) {
    const double seconds = time(ranks, static_cast<double>(size));
    result.points.push_back({Bytes{size}, Duration(std::llround(seconds * 1e12))});
  }
  return result;
}

const std::vector<std::int64_t> kSizes{1 << 20, 1 << 23, 1 << 26, 1 << 29};

/// 40 us, 2 us a step, 200 GB/s.
double ring(double n, double s) { return 40e-6 + 2 * (n - 1) * 2e-6 + 2 * (n - 1) / n * s / 200e9; }
double in_switch(double n, double s) { return 30e-6 + (1 + 1 / n) * s / 300e9; }

TEST(FitLinks, FindsTheConstantsThatMadeTheTimes) {
  const auto fits = fit_links({series(2, false, kSizes, ring), series(8, false, kSizes, ring),
                               series(8, true, kSizes, in_switch)});
  ASSERT_EQ(fits.size(), 2u);
  EXPECT_NEAR(seconds(fits[0].constant), 40e-6, 1e-9);
  EXPECT_NEAR(seconds(fits[0].step), 2e-6, 1e-10);
  EXPECT_NEAR(fits[0].bandwidth.bytes_per_s, 200e9, 1e6);
  EXPECT_NEAR(fits[0].residual, 0, 1e-6);
  EXPECT_EQ(fits[0].points, 8);
  EXPECT_TRUE(fits[1].in_switch);
  EXPECT_NEAR(seconds(fits[1].constant), 30e-6, 1e-9);
  EXPECT_NEAR(fits[1].bandwidth.bytes_per_s, 300e9, 1e6);
}

// With one number of ranks a step cannot be told from a constant: 40 us + 14 x 2 us.
TEST(FitLinks, TellsNoStepFromOneNumberOfRanks) {
  const auto fits = fit_links({series(8, false, kSizes, ring)});
  EXPECT_FALSE(fits[0].has_step);
  EXPECT_NEAR(seconds(fits[0].constant), 68e-6, 1e-9);
}

TEST(FitLinks, TellsNoConstantFromOneSize) {
  const auto fits = fit_links({series(8, false, {1 << 30}, ring)});
  EXPECT_FALSE(fits[0].has_constant);
  EXPECT_EQ(fits[0].constant, Duration{});
}

double less_for_more_ranks(double n, double s) { return 40e-6 / n + 2 * (n - 1) / n * s / 200e9; }

TEST(FitLinks, FindsNothingNegative) {
  const auto fits = fit_links({series(2, false, kSizes, less_for_more_ranks),
                               series(8, false, kSizes, less_for_more_ranks)});
  EXPECT_GE(fits[0].constant, Duration{});
  EXPECT_GE(fits[0].step, Duration{});
  EXPECT_GT(fits[0].residual, 0);
}

TEST(FitLinks, LeavesOutSeriesOfLowTrust) {
  MeasuredCollective doubtful = series(8, false, kSizes, ring);
  doubtful.trust = "low";
  EXPECT_TRUE(fit_links({doubtful}).empty());
}

// The share of its sold links that a device reaches, as its file has it, is that of the fit.
TEST(FitLinks, GivesTheSharesInTheShippedFiles) {
  int compared = 0;
  for (const LinkFit& fit : fit_links(read_collectives(shipped_files() / "collectives.json"))) {
    if (!fit.fabric.empty()) continue;
    const DeviceSpec device = load_device(fit.device);
    const double share = fit.bandwidth.bytes_per_s / device.link_bandwidth.bytes_per_s;
    EXPECT_NEAR(fit.in_switch ? device.switch_reduction : device.link_efficiency, share, 0.0006)
        << fit.device;
    ++compared;
  }
  EXPECT_EQ(compared, 5);
}

void expect_refused(const std::string& body, const std::string& what) {
  const TemporaryFile file(
      "c.json", R"({"schema": "foreplan.collectives/1", "source": "s", "series": [)" + body + "]}");
  try {
    read_collectives(file.path());
    ADD_FAILURE() << "accepted " << body;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(what));
  }
}

TEST(ReadCollectives, RefusesWhatIsNotMeasured) {
  const std::string head = R"({"id": "a", "source": "s", "trust": "high", "nodes": 1, )";
  expect_refused(head + R"("operation": "all_reduce", "ranks": 1, "points": [[1, 1]]})",
                 "/series/0/ranks");
  expect_refused(head + R"("operation": "send", "ranks": 2, "points": [[1, 1]]})",
                 "/series/0/operation");
  expect_refused(head + R"("operation": "all_reduce", "ranks": 2, "points": []})",
                 "at least one point");
  expect_refused(head + R"("operation": "all_reduce", "ranks": 2, "points": [[1, 0]]})",
                 "a time above 0");
  expect_refused(head + R"("operation": "all_reduce", "ranks": 2, "points": [[1]]})",
                 "[bytes, seconds]");
}

}  // namespace
}  // namespace foreplan
