#include "planner/strategy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>
#include <utility>

#include "tests/planner/complaint.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseStrategy, GivesOneDeviceForAnEmptyText) { EXPECT_EQ(parse_strategy(""), Strategy{}); }

TEST(ParseStrategy, ReadsEveryKey) {
  const Strategy s = parse_strategy(
      "dp=2,tp=3,pp=4,vpp=5,cp=6,ep=7,bp=9,order=dp-pp-tp-cp,micro_batch=8,zero=1,sp=1,recompute="
      "selective,schedule=gpipe,split_from=10,layers=1+2+3+4");
  EXPECT_EQ(s.dp, 2);
  EXPECT_EQ(s.tp, 3);
  EXPECT_EQ(s.pp, 4);
  EXPECT_EQ(s.vpp, 5);
  EXPECT_EQ(s.cp, 6);
  EXPECT_EQ(s.ep, 7);
  EXPECT_EQ(format(s.order), "dp-pp-tp-cp");
  EXPECT_EQ(s.bp, 9);
  EXPECT_EQ(s.split_from, 10);
  EXPECT_EQ(s.micro_batch, 8);
  EXPECT_EQ(s.zero, 1);
  EXPECT_TRUE(s.sp);
  EXPECT_EQ(s.recompute, Recompute::selective);
  EXPECT_EQ(s.schedule, Schedule::gpipe);
  EXPECT_THAT(s.layers, ElementsAre(1, 2, 3, 4));
}

TEST(ParseStrategy, TakesKeysInAnyOrder) {
  EXPECT_EQ(parse_strategy("schedule=1f1b,recompute=full,pp=2,dp=4,sp=0"),
            (Strategy{.dp = 4, .pp = 2, .recompute = Recompute::full}));
}

TEST(ParseStrategy, KnowsEveryScheduleByItsName) {
  for (const Schedule schedule : kSchedules) {
    const Strategy read = parse_strategy("pp=2,schedule=" + std::string(name(schedule)));
    EXPECT_EQ(read.schedule, schedule);
    EXPECT_EQ(parse_strategy(format(read)), read);
  }
  EXPECT_EQ(name(Schedule::interleaved), "interleaved");
  EXPECT_EQ(name(Schedule::zb_v), "zb-v");
}

TEST(FormatStrategy, TellsOnlyWhatDiffersFromOneDevice) {
  EXPECT_EQ(format(Strategy{}), "dp=1");
  EXPECT_EQ(format(Strategy{.dp = 2, .micro_batch = 16}), "dp=2,micro_batch=16");
  EXPECT_EQ(format(Strategy{.dp = 2, .bp = 3, .split_from = 5}), "dp=2,bp=3,split_from=5");
  EXPECT_EQ(format(Strategy{.pp = 2, .schedule = Schedule::gpipe, .layers = {4, 3}}),
            "pp=2,schedule=gpipe,layers=4+3");
  // The usual order of ranks needs no telling.
  EXPECT_EQ(format(parse_strategy("tp=2,order=tp-cp-dp-pp")), "tp=2");
  EXPECT_EQ(format(parse_strategy("order=dp-tp-cp-pp,tp=2")), "tp=2,order=dp-tp-cp-pp");
  // Without stages there is no order of stages to tell.
  EXPECT_EQ(format(Strategy{.schedule = Schedule::gpipe, .layers = {7}}), "dp=1");
}

TEST(FormatStrategy, IsUndoneByParse) {
  using Sizes = std::tuple<int, int, int>;
  std::vector<Strategy> strategies;
  for (const auto& [dp, tp, pp] :
       {Sizes{1, 1, 1}, Sizes{2, 1, 1}, Sizes{8, 3, 2}, Sizes{1, 4, 5}}) {
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      Strategy s{.dp = dp, .tp = tp, .pp = pp, .vpp = dp, .cp = tp, .ep = pp};
      if (pp > 2) s.order = parse_rank_order("cp-dp-pp-tp");
      s.zero = pp % 4;
      s.sp = tp > 1;
      s.recompute = recompute;
      if (pp > 1) s.layers.assign(static_cast<std::size_t>(pp), 3);
      strategies.push_back(s);
      s.micro_batch = 48;
      if (pp > 1) s.schedule = Schedule::gpipe;
      strategies.push_back(s);
    }
  }
  for (const Strategy& s : strategies) EXPECT_EQ(parse_strategy(format(s)), s) << format(s);
}

TEST(ParseStrategy, RefusesWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> cases[] = {
      {"dpp=2", "strategy: unknown key 'dpp', expected one of dp, tp, pp"},
      {"dp=2,dp=2", "strategy: 'dp' is given twice"},
      {"dp", "strategy: expected key=value, got 'dp'"},
      {"dp\n=2",
       "strategy: expected key=value of at most 1000 printable characters, got 'dp\\n=2'"},
      {",dp=2", "strategy: expected key=value, got ''"},
      {"dp=2,", "strategy: expected key=value, got ''"},
      {"dp=2,,tp=2", "strategy: expected key=value, got ''"},
      {"dp=-2", "strategy: dp: expected a whole number >= 1, got '-2'"},
      {"tp=0", "strategy: tp: expected a whole number >= 1, got '0'"},
      {"pp=", "strategy: pp: expected a whole number >= 1, got ''"},
      {"pp=1.5", "strategy: pp: expected a whole number >= 1, got '1.5'"},
      {"pp= 2", "strategy: pp: expected a whole number >= 1, got ' 2'"},
      {"dp=2x", "strategy: dp: expected a whole number >= 1, got '2x'"},
      {"dp=99999999999999999999", "got '99999999999999999999'"},
      {"micro_batch=0", "strategy: micro_batch: expected a whole number >= 1, got '0'"},
      {"micro_batch=9223372036854775808", "got '9223372036854775808'"},
      {"order=tp-cp-dp", "joined by '-'; 'tp-cp-dp' names 3"},
      {"order=tp-cp-dp-pp-tp", "joined by '-'; 'tp-cp-dp-pp-tp' names 5"},
      {"order=tp-cp-dp-dp", "joined by '-'; 'tp-cp-dp-dp' has dp 2 times"},
      {"order=tp-ep-dp-pp", "expected each of tp, cp, dp and pp once, joined by '-'; 'ep' is none"},
      {"order=", "joined by '-'; '' is none of them"},
      {"zero=-1", "strategy: zero: expected a whole number >= 0, got '-1'"},
      {"sp=2", "strategy: sp: expected 0 or 1, got '2'"},
      {"sp=true", "strategy: sp: expected 0 or 1, got 'true'"},
      {"schedule=pipedream",
       "strategy: schedule: expected one of gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb-v, "
       "dualpipe, "
       "got 'pipedream'"},
      {"recompute=some", "strategy: recompute: expected one of none, selective, full, got 'some'"},
      {"layers=", "strategy: layers: expected a whole number >= 1, got ''"},
      {"layers=4+", "strategy: layers: expected a whole number >= 1, got ''"},
      {"layers=4+0", "strategy: layers: expected a whole number >= 1, got '0'"},
      {"layers=4+-3", "strategy: layers: expected a whole number >= 1, got '-3'"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_THAT(complaint([&] { parse_strategy(text); }), HasSubstr(message)) << text;
  }
}

// 48 samples over 2 ranks: 24 each, in 24 / 8 = 3 micro-batches of 8.
TEST(SplitBatch, MatchesAHandComputedCase) {
  const BatchSplit split = split_batch({.dp = 2, .micro_batch = 8}, 48);
  EXPECT_EQ(split.share, 24);
  EXPECT_EQ(split.micro_batch, 8);
  EXPECT_EQ(split.micro_batches, 3);
}

TEST(SplitBatch, TakesTheWholeShareWhereNoMicroBatchIsTold) {
  const BatchSplit split = split_batch({.dp = 3}, 48);
  EXPECT_EQ(split.micro_batch, 16);
  EXPECT_EQ(split.micro_batches, 1);
}

TEST(SplitBatch, RefusesWhatDoesNotDivide) {
  const auto complain = [](Strategy s, std::int64_t batch) {
    return complaint([&] { split_batch(s, batch); });
  };
  EXPECT_EQ(complain({}, 0), "global batch: expected >= 1, got 0");
  EXPECT_EQ(complain({}, -4), "global batch: expected >= 1, got -4");
  EXPECT_EQ(complain({}, 1'000'000'001),
            "global batch: expected at most 1000000000, got 1000000001");
  EXPECT_EQ(complain({.micro_batch = 1}, 4097),
            "strategy: micro_batch=1 cuts the 4097 samples of a rank into 4097, expected at most "
            "4096");
  EXPECT_EQ(complain({.dp = 3}, 8), "strategy: dp=3 does not divide the global batch of 8");
  EXPECT_EQ(complain({.dp = 0}, 8), "strategy: dp=0 does not divide the global batch of 8");
  EXPECT_EQ(complain({.dp = 2, .micro_batch = 3}, 8),
            "strategy: micro_batch=3 does not divide the 4 samples of a rank");
  EXPECT_EQ(complain({.dp = 2, .micro_batch = 8}, 8),
            "strategy: micro_batch=8 does not divide the 4 samples of a rank");
}

std::string check_complaint(const Strategy& strategy, int devices = 8) {
  return complaint([&] { check(strategy, mnist_mlp(), devices, 32); });
}

TEST(CheckStrategy, AcceptsWhatCanBeLaidOut) {
  EXPECT_EQ(check_complaint({}), "no complaint");
  EXPECT_EQ(check_complaint({.dp = 2, .tp = 2, .pp = 2, .layers = {2, 1}}), "no complaint");
  EXPECT_EQ(check_complaint({.pp = 3, .micro_batch = 1}), "no complaint");
}

TEST(CheckStrategy, RefusesMoreDevicesThanThereAre) {
  EXPECT_EQ(check_complaint({.dp = 2, .tp = 2, .pp = 2}, 7),
            "strategy: dp=2,tp=2,pp=2,schedule=1f1b needs 8 devices, the cluster has 7");
  EXPECT_THAT(check_complaint({}, 0), HasSubstr("needs 1 devices, the cluster has 0"));
  // The product is 10^27: more than 64 bits hold.
  EXPECT_THAT(check_complaint({.dp = 1'000'000'000, .tp = 1'000'000'000, .pp = 1'000'000'000}),
              HasSubstr("the cluster has 8"));
}

TEST(CheckStrategy, RefusesSizesBelowOne) {
  EXPECT_EQ(check_complaint({.dp = -2, .tp = -2}), "strategy: dp: expected >= 1, got -2");
  EXPECT_EQ(check_complaint({.tp = 0}), "strategy: tp: expected >= 1, got 0");
  EXPECT_EQ(check_complaint({.pp = 0}), "strategy: pp: expected >= 1, got 0");
}

TEST(CheckStrategy, RefusesStagesThatDoNotFitTheLayers) {
  EXPECT_EQ(check_complaint({.pp = 4}), "strategy: pp=4 stages, but test-model has only 3 layers");
  EXPECT_EQ(check_complaint({.pp = 2, .layers = {3}}),
            "strategy: layers=3 tells 1 stages, expected pp=2");
  EXPECT_EQ(check_complaint({.pp = 2, .layers = {2, 2}}),
            "strategy: layers=2+2 adds up to 4, but test-model has 3 layers");
  EXPECT_THAT(check_complaint({.pp = 2, .layers = {4, -1}}), HasSubstr("layers: expected >= 1"));
  EXPECT_THAT(check_complaint({.pp = 2, .layers = {2'147'483'647, 2'147'483'647}}),
              HasSubstr("adds up to 4294967294"));
}

TEST(CheckStrategy, RefusesWidthsThatDoNotDivide) {
  EXPECT_EQ(check_complaint({.tp = 3}),
            "strategy: tp=3 does not divide the 128 output features of layer 'fc1'");
}

TEST(CheckStrategy, RefusesKindsThatAreNotLoweredYet) {
  const std::pair<const char*, const char*> cases[] = {
      {"cp=2", "strategy: cp > 1 (context parallelism) can be forecast, but not yet run"},
      {"ep=2", "strategy: ep > 1 (expert parallelism) can be forecast, but not yet run"},
      {"zero=1", "strategy: zero > 0 (sharded data parallelism) can be forecast, but not yet run"},
      {"sp=1", "strategy: sp=1 (sequence parallelism) can be forecast, but not yet run"},
      {"pp=2,schedule=dualpipe",
       "strategy: schedule=dualpipe (two copies of the model) can be forecast, but not yet run"},
      {"bp=2",
       "strategy: bp > 1 (branches on devices of their own) can be forecast, but not yet run"},
      {"dp=2,split_from=1",
       "strategy: split_from (a split by layers) can be forecast, but not yet run"},
      {"recompute=full", "strategy: recompute can be forecast, but not yet run"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(check_complaint(parse_strategy(text)), message);
  }
}

}  // namespace
}  // namespace foreplan
