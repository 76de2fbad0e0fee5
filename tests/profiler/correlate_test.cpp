#include "profiler/correlate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// 100 multiprocessors that hold 8 blocks of 256 threads each: 800 places.
const std::vector<MultiprocessorLimits> kGpu{{.multiprocessors = 100}};

Activity kernel(std::uint64_t task, std::uint64_t start, std::uint64_t finish,
                std::uint32_t blocks = 800) {
  return {.kind = Activity::Kind::kernel,
          .start_ns = start,
          .finish_ns = finish,
          .external = task + 1,
          .blocks = blocks,
          .threads = 256,
          .registers = 32};
}

// Records come in any order; task 1 has a kernel and a memset, task 2 nothing.
TEST(Correlate, JoinsTheActivitiesOfATask) {
  Activity memset = kernel(1, 5000, 6000);
  memset.kind = Activity::Kind::memset;
  const MeasuredStep step =
      correlate({kernel(1, 6500, 9000), memset, kernel(0, 4000, 5500)}, 3, kGpu);
  EXPECT_THAT(step.timeline.start, ElementsAre(0ns, 1000ns, 0ns));
  EXPECT_THAT(step.timeline.finish, ElementsAre(1500ns, 5000ns, 0ns));
  EXPECT_THAT(step.launches, ElementsAre(1, 2, 0));
}

TEST(Correlate, LeavesOutWhatBelongsToNoTaskOrIsNoWork) {
  Activity other = kernel(0, 0, 10);
  other.external = 0;
  Activity wait = kernel(0, 0, 20000);
  wait.kind = Activity::Kind::synchronisation;
  const MeasuredStep step = correlate({other, wait, kernel(0, 700, 900)}, 1, kGpu);
  EXPECT_THAT(step.timeline.start, ElementsAre(0ns));
  EXPECT_THAT(step.timeline.finish, ElementsAre(200ns));
}

// 200 of 800 places for 1 us, all for 3 us: (0.25 + 3) / 4.
TEST(Correlate, WeighsTheSharesOfKernelsByTheirTime) {
  const MeasuredStep step = correlate({kernel(0, 0, 1000, 200), kernel(0, 1000, 4000, 9000)}, 1, kGpu);
  EXPECT_THAT(step.multiprocessors, ElementsAre(3.25 / 4));
}

std::string complaint(const std::vector<Activity>& activities) {
  try {
    correlate(activities, 2, kGpu);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    return error.what();
  }
  return "accepted";
}

TEST(Correlate, RefusesWhatCannotBe) {
  EXPECT_THAT(complaint({kernel(7, 0, 1)}), HasSubstr("expected a task below 2, got 7"));
  EXPECT_THAT(complaint({kernel(0, 5, 1)}), HasSubstr("task 0 ends before it starts"));
  Activity elsewhere = kernel(0, 0, 1);
  elsewhere.gpu = 3;
  EXPECT_THAT(complaint({elsewhere}), HasSubstr("expected one of 1 GPUs, got GPU 3"));
}

Activity shaped(std::uint32_t threads, std::uint32_t registers, std::uint32_t shared) {
  return {.blocks = 1, .threads = threads, .registers = registers, .shared_bytes = shared};
}

// 2048 threads, 32 blocks, 65536 registers and 233472 bytes a multiprocessor, as H100 has them.
TEST(ResidentBlocks, IsTheLeastThatAnythingAllows) {
  const MultiprocessorLimits h100;
  EXPECT_EQ(resident_blocks(shaped(256, 32, 0), h100), 8);     // threads: 2048 / 256
  EXPECT_EQ(resident_blocks(shaped(32, 16, 0), h100), 32);     // blocks
  EXPECT_EQ(resident_blocks(shaped(256, 128, 0), h100), 2);    // 65536 / (128 * 32) = 16 warps
  EXPECT_EQ(resident_blocks(shaped(256, 33, 0), h100), 6);     // 33 * 32 -> 1280: 51 warps, 8 a block
  EXPECT_EQ(resident_blocks(shaped(128, 32, 48000), h100), 4); // 233472 / 49024
  EXPECT_EQ(resident_blocks(shaped(384, 168, 230000), h100), 1);
  EXPECT_EQ(resident_blocks(shaped(33, 32, 0), h100), 32);     // two warps: 32 by threads and blocks
}

}  // namespace
}  // namespace foreplan
