#include "sim/profile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "sim/kernel_model.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

template <typename Act>
std::string complaint(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

constexpr DeviceId kA{0}, kB{1}, kC{2};

OpKey linear(std::int64_t m, bool accumulate = false) {
  return {.op = "linear", .shape = {m, 8, 4}, .accumulate = accumulate};
}

Op op_of(OpKey key, double flops = 0, Bytes traffic = {}) {
  return {.key = std::move(key), .flops = {flops}, .traffic = traffic};
}

ProfiledOp measured(OpKey key, Duration mean) {
  return {.key = std::move(key), .flops = {}, .traffic = {}, .time = {.mean = mean}};
}

ProfiledCopy copied(DeviceId source, DeviceId destination, Bytes bytes, Duration mean) {
  return {.source = source, .destination = destination, .bytes = bytes, .time = {.mean = mean}};
}

LineFit fit(std::string what, std::string variable, Duration overhead, double per_s) {
  LineFit result;
  result.what = std::move(what);
  result.variable = std::move(variable);
  result.overhead = overhead;
  result.per_s = per_s;
  return result;
}

Duration time_of(const Profile& profile, const Op& op) {
  return ProfileModel(profile).compute_time(op, {});
}

// 1, 2, 6, 11: mean 20 / 4 = 5, median (2 + 6) / 2 = 4, distances from it 3, 2, 2, 7 whose median
// is (2 + 3) / 2 = 2.5.
TEST(Summarise, GivesMeanMedianAndSpread) {
  const Sample sample = summarise({11us, 2us, 1us, 6us}, 3);
  EXPECT_EQ(sample.mean, 5us);
  EXPECT_EQ(sample.median, 4us);
  EXPECT_EQ(sample.mad, 2500ns);
  EXPECT_EQ(sample.samples, 4);
  EXPECT_EQ(sample.disturbed, 3);
}

TEST(Summarise, TakesTheMiddleOneOfAnOddNumber) {
  const Sample sample = summarise({9us, 1us, 2us}, 0);
  EXPECT_EQ(sample.mean, 4us);
  EXPECT_EQ(sample.median, 2us);
  EXPECT_EQ(sample.mad, 1us);  // of 1, 0, 7
}

TEST(Summarise, GivesZerosWithoutValuesAndNoSpreadForOne) {
  EXPECT_EQ(summarise({}, 0), Sample{});
  EXPECT_EQ(summarise({7us}, 0), (Sample{.mean = 7us, .median = 7us, .samples = 1}));
}

// 100,000 values of 100 s each are more than a Duration holds in sum.
TEST(Summarise, HoldsManyLongValues) {
  EXPECT_EQ(summarise(std::vector<Duration>(100'000, 100s), 0).mean, 100s);
}

TEST(ProfileModel, TakesTheOpsOwnMeasurementBeforeAnyFit) {
  Profile profile;
  profile.ops = {measured(linear(16), 5us), measured(linear(16, true), 7us)};
  profile.fits = {fit("linear.forward fp32", "flops", 1us, 1e9)};
  EXPECT_EQ(time_of(profile, op_of(linear(16), 1e6)), 5us);
  EXPECT_EQ(time_of(profile, op_of(linear(16, true), 1e6)), 7us);
}

TEST(ProfileModel, TakesTheMeasurementThatAccumulatesTheOtherWayNext) {
  Profile profile;
  profile.ops = {measured(linear(16, true), 7us)};
  profile.fits = {fit("linear.forward fp32", "flops", 1us, 1e9)};
  EXPECT_EQ(time_of(profile, op_of(linear(16), 1e6)), 7us);
}

// 1e6 FLOP at 1e9 FLOP/s are 1 ms, 4000 bytes at 1e9 B/s are 4 us; each behind its overhead.
TEST(ProfileModel, TakesTheFitOfOpAndPassForShapesThatWereNotMeasured) {
  Profile profile;
  profile.ops = {measured(linear(16), 5us)};
  profile.fits = {fit("linear.forward fp32", "flops", 1us, 1e9),
                  fit("linear.forward fp32 +=", "bytes", 2us, 1e9)};
  EXPECT_EQ(time_of(profile, op_of(linear(32), 1e6, 4000_B)), 1ms + 1us);
  EXPECT_EQ(time_of(profile, op_of(linear(32, true), 1e6, 4000_B)), 6us);
  profile.fits.pop_back();
  EXPECT_EQ(time_of(profile, op_of(linear(32, true), 1e6, 4000_B)), 1ms + 1us);
}

TEST(ProfileModel, TakesTheLongerOfTheGeneralFitsLast) {
  Profile profile;
  profile.fits = {fit("bytes fp32", "bytes", 1us, 1e9), fit("flops fp32", "flops", 1us, 1e12)};
  EXPECT_EQ(time_of(profile, op_of(linear(8), 1e6, 4000_B)), 5us);   // 1 + 4 against 1 + 1
  EXPECT_EQ(time_of(profile, op_of(linear(8), 1e7, 4000_B)), 11us);  // 1 + 4 against 1 + 10
}

/// A product of 8 by 4, whose time is what `flops` say it is in some way.
Op product_of(std::int64_t m, double flops) {
  Op op = op_of(linear(m), flops);
  op.matrix = {flops};
  return op;
}

// 4 us for 2e6 FLOPs at m = 100; at 110 the same rate: 6 us for 3e6. Other ops are told by bytes alone.
TEST(ProfileModel, TellsProductsByNearShapes) {
  Profile profile;
  profile.ops = {measured(linear(100), 4us)};
  profile.ops.front().flops = {2e6};
  profile.fits = {fit("bytes fp32", "bytes", 1us, 1e9)};
  EXPECT_EQ(time_of(profile, product_of(110, 3e6)), 6us);
  EXPECT_EQ(time_of(profile, op_of({.op = "add", .shape = {1}}, 3e6, 2_KB)), 3us);
}

// A fit of the op and pass goes before shapes that are only near.
TEST(ProfileModel, TakesTheFitOfAnOpBeforeNearShapes) {
  Profile profile;
  profile.ops = {measured(linear(100), 4us)};
  profile.ops.front().flops = {2e6};
  profile.fits = {fit("linear.forward fp32", "flops", 1us, 1e12)};
  EXPECT_EQ(time_of(profile, product_of(110, 3e6)), 4us);
}

// Where the device's kernels are known, they tell what the profile does not: here a product far from all shapes.
TEST(ProfileModel, LeavesTheRestToTheDevicesKernels) {
  Profile profile;
  profile.ops = {measured(linear(100), 4us)};
  profile.ops.front().flops = {2e6};
  profile.fits = {fit("bytes fp32", "bytes", 1us, 1e9)};
  DeviceSpec device{.name = "d",
                    .memory = 1_GB,
                    .peak = {{DType::fp32, 1_TFLOPps}},
                    .memory_bandwidth = 100_GBps,
                    .source = "made up"};
  device.multiprocessors = 10;
  device.kernels = KernelFacts{};
  const Op op = product_of(1000, 3e6);
  EXPECT_EQ(ProfileModel(profile).compute_time(op, device), kernel_time(op, device));
  device.kernels.reset();
  EXPECT_EQ(ProfileModel(profile).compute_time(op, device), 1us);
}

// What is part of another kernel takes no time, whatever a fit says of nothing.
TEST(ProfileModel, GivesNoTimeToWhatIsNoKernel) {
  Profile profile;
  profile.fits = {fit("bytes fp32", "bytes", 1us, 1e9)};
  Op op = op_of({.op = "dropout", .shape = {8}});
  op.launches = 0;
  EXPECT_EQ(time_of(profile, op), 0us);
}

// 2 us for 1 KB and 10 us for 5 KB among 4 ranks: 6 us for 3 KB; above at the rate between, 2 us a KB.
TEST(ProfileModel, TellsCollectivesBetweenTheirSizes) {
  Profile profile;
  const auto add = [&](Bytes bytes, Duration mean) {
    profile.collectives.push_back(
        {.kind = CollectiveKind::all_reduce, .ranks = 4, .bytes = bytes, .time = {.mean = mean}});
  };
  add(5_KB, 10us);
  add(1_KB, 2us);
  const ProfileModel model(profile);
  EXPECT_EQ(model.collective_time(CollectiveKind::all_reduce, 4, 3_KB), 6us);
  EXPECT_EQ(model.collective_time(CollectiveKind::all_reduce, 4, 6_KB), 12us);
  EXPECT_FALSE(model.collective_time(CollectiveKind::all_reduce, 2, 3_KB).has_value());
  EXPECT_FALSE(model.collective_time(CollectiveKind::all_gather, 4, 3_KB).has_value());
}

TEST(ProfileModel, TellsLayersThatWereMeasuredWhole) {
  Profile profile;
  profile.layers = {{.model = "gpt", .layer = "head", .times = {1us, 2us, 3us}}};
  EXPECT_EQ(ProfileModel(profile).layer_times({.model = "gpt", .layer = "head"}),
            (LayerTimes{1us, 2us, 3us}));
  EXPECT_FALSE(ProfileModel(profile).layer_times({.model = "gpt", .layer = "x"}).has_value());
  profile.layers.push_back(profile.layers.front());
  EXPECT_THROW(ProfileModel{profile}, Error);
}

TEST(ProfileModel, NamesAnOpThatItCannotTellAnythingAbout) {
  Profile profile;
  profile.device.name = "box";
  profile.fits = {fit("linear.forward bf16", "flops", 1us, 1e9), fit("copy", "bytes", 1us, 1e9),
                  fit("bytes bf16", "bytes", 1us, 1e9)};
  EXPECT_EQ(complaint([&] { time_of(profile, op_of(linear(16))); }),
            "profile of box: expected a measurement or a fit of linear.forward[16x8x4] fp32, got "
            "neither");
}

TEST(ProfileModel, RefusesWhatContradictsItself) {
  Profile twice;
  twice.ops = {measured(linear(16), 5us), measured(linear(16), 6us)};
  EXPECT_THAT(complaint([&] { ProfileModel{twice}; }),
              HasSubstr("expected each op once, got linear.forward[16x8x4] fp32 twice"));
  Profile copies;
  copies.copies = {copied(kA, kB, 1_KB, 1us), copied(kA, kB, 1_KB, 2us)};
  EXPECT_THAT(complaint([&] { ProfileModel{copies}; }),
              HasSubstr("expected each copy once, got 1000 bytes from 0 to 1 twice"));
  Profile rate;
  rate.fits = {fit("copy", "bytes", 1us, 0)};
  EXPECT_THAT(complaint([&] { ProfileModel{rate}; }), HasSubstr("to have a positive rate"));
}

/// From 0 to 1: 1 kB in 2 us, 3 kB in 4 us, 5 kB in 10 us.
Profile copying() {
  Profile profile;
  profile.copies = {copied(kA, kB, 5_KB, 10us), copied(kA, kB, 1_KB, 2us),
                    copied(kA, kB, 3_KB, 4us)};
  return profile;
}

TEST(ProfileModelCopy, RunsThroughTheMeasuredSizesAndStraightBetweenThem) {
  const ProfileModel model(copying());
  EXPECT_EQ(model.copy_time(1_KB, kA, kB), 2us);
  EXPECT_EQ(model.copy_time(3_KB, kA, kB), 4us);
  EXPECT_EQ(model.copy_time(5_KB, kA, kB), 10us);
  EXPECT_EQ(model.copy_time(2_KB, kA, kB), 3us);
  EXPECT_EQ(model.copy_time(3500_B, kA, kB), 5500ns);  // a quarter of the way from 4 to 10
}

TEST(ProfileModelCopy, TakesTheSmallestBelowIt) {
  const ProfileModel model(copying());
  EXPECT_EQ(model.copy_time(10_B, kA, kB), 2us);
  EXPECT_EQ(model.copy_time(0_B, kA, kB), 2us);
}

TEST(ProfileModelCopy, AddsWhatLiesAboveTheLargestAtTheRateOfTheFit) {
  Profile profile = copying();
  profile.fits = {fit("copy", "bytes", 1us, 1e9)};
  EXPECT_EQ(ProfileModel(profile).copy_time(7_KB, kA, kB), 12us);  // 10 us + 2 kB at 1 GB/s
  // Without the fit at the rate of the last two: 2 kB in 6 us.
  EXPECT_EQ(ProfileModel(copying()).copy_time(7_KB, kA, kB), 16us);
}

TEST(ProfileModelCopy, ScalesTheLargestWhereNoRateIsKnown) {
  Profile profile;
  profile.copies = {copied(kA, kB, 2_KB, 4us)};
  EXPECT_EQ(ProfileModel(profile).copy_time(4_KB, kA, kB), 8us);
  profile.copies.push_back(copied(kA, kB, 1_KB, 5us));  // noise: more for less
  EXPECT_EQ(ProfileModel(profile).copy_time(4_KB, kA, kB), 8us);
}

TEST(ProfileModelCopy, TakesTheMeanOfTheMeasuredPairsForOthers) {
  Profile profile;
  profile.copies = {copied(kA, kB, 1_KB, 2us), copied(kB, kA, 1_KB, 4us)};
  const ProfileModel model(profile);
  EXPECT_EQ(model.copy_time(1_KB, kB, kA), 4us);
  EXPECT_EQ(model.copy_time(1_KB, kA, kC), 3us);
}

TEST(ProfileModelCopy, LeavesItToTheLinksWhereNoneWasMeasured) {
  EXPECT_EQ(ProfileModel(Profile{}).copy_time(1_KB, kA, kB), std::nullopt);
}

TEST(ProfileModel, GivesMeanDispatchAndHandover) {
  Profile profile;
  profile.dispatch.mean = 3us;
  profile.handover.mean = 4us;
  EXPECT_EQ(ProfileModel(profile).dispatch({}), 3us);
  EXPECT_EQ(ProfileModel(profile).handover(), 4us);
}

// 4000 bytes in 4 us are 1 GB/s: a quarter of a memory of 4 GB/s.
TEST(ProfileModelDemand, IsTheMeasuredShareOfTheMultiprocessors) {
  Profile profile;
  profile.ops = {measured(linear(16), 5us), measured(linear(32), 5us)};
  EXPECT_FALSE(ProfileModel(profile).knows_demand());
  profile.ops[0].multiprocessors = 0.125;
  const ProfileModel model(profile);
  EXPECT_TRUE(model.knows_demand());
  const DeviceSpec spec{.name = "gpu", .memory_bandwidth = 4_GBps};
  const auto demand = [&](const OpKey& key) {
    return model.demand({.key = key, .traffic = Bytes{4000}}, spec, 4us);
  };
  EXPECT_EQ(demand(linear(16)), (Demand{.multiprocessors = 0.125, .bandwidth = 0.25}));
  EXPECT_EQ(demand(linear(16, true)).multiprocessors, 0.125);  // the other way of accumulating
  EXPECT_EQ(demand(linear(32)).multiprocessors, 1);            // nobody measured it
}

TEST(ProfileModelIssue, IsTheMeanOfWhatWasMeasured) {
  Profile profile;
  profile.ops = {measured(linear(16), 5us)};
  profile.ops[0].launches = 3;
  EXPECT_EQ(ProfileModel(profile).launches({.key = linear(16, true)}), 3);
  EXPECT_EQ(ProfileModel(profile).launches({.key = linear(32)}), 1);
  EXPECT_EQ(ProfileModel(profile).issue().task, 0us);
  profile.issue = {.task = {.mean = 3us}, .record = {.mean = 1us}, .wait = {.mean = 2us}};
  const IssueCost issue = ProfileModel(profile).issue();
  EXPECT_EQ(issue.task, 3us);
  EXPECT_EQ(issue.record, 1us);
  EXPECT_EQ(issue.wait, 2us);
}

}  // namespace
}  // namespace foreplan
