#include "planner/estimate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/roofline.hpp"
#include "tests/planner/complaint.hpp"
#include "tests/planner/fake_cost_model.hpp"
#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

/// Ten microseconds a compute task, five a copy.
FakeCostModel ten_and_five() {
  FakeCostModel costs;
  costs.op = [](const OpKey&) { return Duration{10us}; };
  costs.copy = [](Bytes) { return Duration{5us}; };
  return costs;
}

/// mnist-mlp, 32 samples, on devices as told.
struct Setting {
  OpGraph model = mnist_mlp();
  Cluster cluster;
  FakeCostModel costs = ten_and_five();

  explicit Setting(int devices, const DeviceSpec& device = fake_device())
      : cluster(fake_cluster(devices, device)) {}
  Task task() const {
    return {.model = model, .cluster = cluster, .costs = costs, .global_batch = 32};
  }
  Estimate estimated(const char* strategy) const {
    return estimate(task(), parse_strategy(strategy));
  }
};

Duration sum(const DeviceTime& time) {
  return time.compute + time.optimizer + time.exposed_communication + time.idle;
}

// 10 tasks one behind the other, of which one is the update.
TEST(Estimate, OfOneDeviceIsTheSumOfItsTasks) {
  const Estimate e = Setting(1).estimated("");
  EXPECT_EQ(e.tasks, 10);
  EXPECT_EQ(e.step_time, Duration{100us});
  EXPECT_EQ(e.breakdown.compute, Duration{90us});
  EXPECT_EQ(e.breakdown.optimizer, Duration{10us});
  EXPECT_EQ(e.breakdown.exposed_communication, Duration{0us});
  EXPECT_EQ(e.breakdown.idle, Duration{0us});
  EXPECT_DOUBLE_EQ(e.samples_per_s, 320'000);  // 32 samples in 100 us
  EXPECT_EQ(e.limited_by, Limit::compute);
}

// Forward and backward until 90; then the ring: pull until 95, add until 105, pull until 110; the
// update until 120. The ring is 20 us of communication, its add included.
TEST(Estimate, OfDataParallelismMatchesAHandComputedCase) {
  const Estimate e = Setting(2).estimated("dp=2");
  EXPECT_EQ(e.step_time, Duration{120us});
  EXPECT_EQ(e.breakdown.compute, Duration{90us});
  EXPECT_EQ(e.breakdown.exposed_communication, Duration{20us});
  EXPECT_EQ(e.breakdown.optimizer, Duration{10us});
  EXPECT_EQ(e.breakdown.idle, Duration{0us});
}

// Device 0: fc1, relu1 until 20. Copy until 25. Device 1: fc2, loss, loss back, fc2 by input until 65,
// by weight until 75, update until 85. Copy 65 to 70. Device 0: relu1, fc1 by weight until 90, update
// until 100. Device 0: compute 40, update 10, copies 5 + 5, idle 40. Device 1: compute 50, update 10, one
// copy alone 5 (the other beside compute), idle 35. Means: 45, 10, 7.5 and 37.5.
TEST(Estimate, OfTwoStagesMatchesAHandComputedCase) {
  const Estimate e = Setting(2).estimated("pp=2,layers=2+1");
  EXPECT_EQ(e.step_time, Duration{100us});
  EXPECT_EQ(e.breakdown.compute, Duration{45us});
  EXPECT_EQ(e.breakdown.optimizer, Duration{10us});
  EXPECT_EQ(e.breakdown.exposed_communication, Duration{7500ns});
  EXPECT_EQ(e.breakdown.idle, Duration{37500ns});
  EXPECT_EQ(e.limited_by, Limit::compute);
}

// The same on devices that do everything themselves: each copy is in the stream of the device that
// pulls it, which has nothing else to do then.
TEST(Estimate, OfSerialDevicesPutsCopiesInLine) {
  DeviceSpec serial = fake_device();
  serial.concurrent_streams = false;
  EXPECT_EQ(Setting(2, serial).estimated("pp=2,layers=2+1").step_time, Duration{100us});
  // dp: as above, nothing overlapped there either.
  EXPECT_EQ(Setting(2, serial).estimated("dp=2").step_time, Duration{120us});
}

// Each task waits 1 us for its dispatch: ten of them.
TEST(Estimate, CountsDispatchAndHandover) {
  Setting setting(2);
  setting.costs.dispatch_time = 1us;
  EXPECT_EQ(setting.estimated("").step_time, Duration{110us});
  // Two copies on the way, each waits for one end on the other device and is not waited for elsewhere.
  setting.costs.dispatch_time = 0us;
  setting.costs.handover_time = 3us;
  EXPECT_EQ(setting.estimated("pp=2,layers=2+1").step_time, Duration{106us});
}

TEST(Estimate, BreaksTheStepDownCompletely) {
  const Setting setting(8);
  for (const char* strategy : {"", "dp=4", "tp=4", "pp=3,micro_batch=4", "dp=2,tp=2,pp=2",
                               "dp=2,pp=2,micro_batch=2,schedule=gpipe"}) {
    const Estimate e = setting.estimated(strategy);
    // Each of the four means is rounded to a picosecond.
    EXPECT_NEAR(static_cast<double>(sum(e.breakdown).count()),
                static_cast<double>(e.step_time.count()), 4)
        << strategy;
  }
}

// Parameters 101770 x 4 = 407080 B; gradients and momentum as much. Samples 32 x 784 x 4 = 100352 B,
// labels 128 B, loss 4 B. Activations: a = 32 x 128 x 4 = 16384 B wide and c = 32 x 10 x 4 = 1280 B.
//   fc1 y0 (a) | relu y1 (a), then y0 goes | fc2 y2 (c) | loss p (c), then y2 goes | loss back d2 (c),
//   then p goes | fc2 by input d1 (a) | by weight, then d2 goes | relu back d0 (a): y1, d1, d0 = 3 a =
//   49152 B, the most | fc1 by weight: d0.
// Peak 3 x 407080 + 100352 + 128 + 4 + 49152 = 1370876 B.
TEST(Estimate, OfMemoryMatchesAHandComputedCase) {
  const Estimate e = Setting(1).estimated("");
  ASSERT_EQ(e.stages.size(), 1U);
  const StageMemory& stage = e.stages[0];
  EXPECT_EQ(stage.parameters, Bytes{407'080});
  EXPECT_EQ(stage.gradients, Bytes{407'080});
  EXPECT_EQ(stage.optimizer, Bytes{407'080});
  EXPECT_EQ(stage.activations, Bytes{100'352 + 128 + 49'152});
  EXPECT_EQ(stage.buffers, Bytes{4});
  EXPECT_EQ(stage.peak, Bytes{1'370'876});
  EXPECT_EQ(e.peak_memory, Bytes{1'370'876});
}

TEST(Estimate, CountsBothMomentsOfAdam) {
  const Setting setting(1);
  Task task = setting.task();
  task.optimizer = Optimizer::adam;
  EXPECT_EQ(estimate(task, {}).stages[0].optimizer, Bytes{2 * 407'080});
}

// Stage 0 has fc1's 401920 B, stage 1 fc2's 5160 B.
TEST(Estimate, TellsTheMemoryOfEveryStage) {
  const Estimate e = Setting(4).estimated("dp=2,pp=2,layers=2+1");
  ASSERT_EQ(e.stages.size(), 2U);
  EXPECT_EQ(e.stages[0].parameters, Bytes{401'920});
  EXPECT_EQ(e.stages[1].parameters, Bytes{5160});
  EXPECT_EQ(e.peak_memory, std::max(e.stages[0].peak, e.stages[1].peak));
  for (const StageMemory& s : e.stages) {
    EXPECT_EQ(s.peak, s.parameters + s.gradients + s.optimizer + s.activations + s.buffers);
  }
}

TEST(Estimate, IsInfeasibleOneByteBelowThePeak) {
  const Estimate fits = Setting(1, fake_device(Bytes{1'370'876})).estimated("");
  EXPECT_TRUE(fits.feasible);
  const Estimate too_large = Setting(1, fake_device(Bytes{1'370'875})).estimated("");
  EXPECT_FALSE(too_large.feasible);
  EXPECT_EQ(too_large.limited_by, Limit::memory);
  EXPECT_EQ(too_large.step_time, fits.step_time);
}

// FLOPs of a sample: fc1 2 x 784 x 128 + 128 = 200832, forward and by weight; relu 128 and 128; fc2
// 2570, 2560 by input, 2570 by weight; loss 50 and 20. In all 409690, for 32 samples 13110080. One
// device does 10^12 a second, 10^8 in the 100 us. The update adds 4 x 101770 = 407080.
TEST(Estimate, OfUtilisationMatchesAHandComputedCase) {
  const Estimate e = Setting(1).estimated("");
  EXPECT_DOUBLE_EQ(e.mfu, 0.1311008);
  EXPECT_DOUBLE_EQ(e.hfu, 0.1351716);
}

// Two devices, 120 us: capacity 2.4 x 10^8. Executed are two updates and 101770 additions of the ring
// (each rank adds one half).
TEST(Estimate, OfUtilisationCountsEveryDevice) {
  const Estimate e = Setting(2).estimated("dp=2");
  EXPECT_DOUBLE_EQ(e.mfu, 13'110'080 / 2.4e8);
  EXPECT_DOUBLE_EQ(e.hfu, (13'110'080 + 2 * 407'080 + 101'770) / 2.4e8);
}

// At the roofline nothing can be faster than the peak.
TEST(Estimate, OfUtilisationStaysBelowOneOnTheRoofline) {
  const Setting setting(4);
  const RooflineModel roofline;
  const Task task{setting.model, setting.cluster, roofline, 32};
  for (const char* strategy : {"", "dp=4", "tp=2,pp=2", "micro_batch=1"}) {
    const Estimate e = estimate(task, parse_strategy(strategy));
    EXPECT_GT(e.mfu, 0);
    EXPECT_LE(e.mfu, e.hfu) << strategy;
    EXPECT_LE(e.hfu, 1) << strategy;
  }
}

// Copies of 1 ms against 10 us of compute: two of them, and device 1 is idle until the first begins and
// after its update. Communication dominates.
TEST(Estimate, SaysWhatLimitsTheStep) {
  Setting setting(3);
  setting.costs.copy = [](Bytes) { return Duration{1ms}; };
  EXPECT_EQ(setting.estimated("dp=2").limited_by, Limit::communication);
  // Three stages, one micro-batch: each device waits for the two others most of the time.
  setting.costs.copy = {};
  EXPECT_EQ(setting.estimated("pp=3").limited_by, Limit::bubble);
  EXPECT_EQ(setting.estimated("").limited_by, Limit::compute);
}

TEST(Complete, FillsInMicroBatchAndLayers) {
  const Setting setting(2);
  const Strategy whole = complete(setting.task(), {.dp = 2});
  EXPECT_EQ(whole.micro_batch, 16);
  EXPECT_THAT(whole.layers, ElementsAre(3));
}

// What would be ignored is refused, for steps that are lowered as for those that are folded.
TEST(Complete, RefusesScheduleAndPartsWhereThereAreNoStages) {
  const Setting setting(1);
  EXPECT_THROW(complete(setting.task(), {.schedule = Schedule::gpipe}), Error);
  EXPECT_THROW(complete(setting.task(), {.vpp = 2}), Error);
}

TEST(Complete, KeepsWhatIsTold) {
  const Setting setting(2);
  const Strategy told{.pp = 2, .micro_batch = 8, .schedule = Schedule::gpipe, .layers = {1, 2}};
  EXPECT_EQ(complete(setting.task(), told), told);
}

// Ten a task: fc1 20 (forward, by weight), relu1 20, fc2 30. Cut behind fc1: 20 and 50; behind relu1: 40
// and 30. If fc1 takes 80, behind fc1: 80 and 50; behind relu1: 100 and 30.
TEST(Complete, CutsStagesByTheModelsCosts) {
  Setting setting(2);
  EXPECT_THAT(complete(setting.task(), {.pp = 2}).layers, ElementsAre(2, 1));
  setting.costs.op = [](const OpKey& key) {
    return key.op == "linear" && key.shape[1] == 784 ? Duration{40us} : Duration{10us};
  };
  EXPECT_THAT(complete(setting.task(), {.pp = 2}).layers, ElementsAre(1, 2));
}

TEST(Estimate, RefusesWhatCannotBeLaidOut) {
  const Setting setting(2);
  EXPECT_EQ(complaint([&] { setting.estimated("dp=4"); }),
            "strategy: dp=4 needs 4 devices, the cluster has 2");
  EXPECT_EQ(complaint([&] { setting.estimated("micro_batch=5"); }),
            "strategy: micro_batch=5 does not divide the 32 samples of a rank");
}

TEST(NameOfLimit, IsOneWord) {
  EXPECT_EQ(name(Limit::compute), "compute");
  EXPECT_EQ(name(Limit::communication), "communication");
  EXPECT_EQ(name(Limit::bubble), "bubble");
  EXPECT_EQ(name(Limit::memory), "memory");
}

}  // namespace
}  // namespace foreplan
