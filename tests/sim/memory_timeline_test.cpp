#include "sim/memory_timeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "sim/error.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"
#include "tests/sim/pipelines.hpp"

namespace foreplan {

bool operator==(const DeviceMemory::Point& a, const DeviceMemory::Point& b) {
  return a.at == b.at && a.in_use == b.in_use;
}

namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;
using Point = DeviceMemory::Point;

/// Tasks that run one behind the other on one device, each told its buffers.
class Sequence {
 public:
  BufferId buffer(Bytes bytes, BufferCategory category = BufferCategory::activation,
                  bool persistent = false) {
    return builder_.builder().add_buffer(
        {.bytes = bytes, .category = category, .persistent = persistent});
  }
  void task(Duration duration, std::vector<BufferId> allocates, std::vector<BufferId> frees) {
    builder_.add({.op = builder_.op(), .allocates = allocates, .frees = frees}, duration);
  }
  DeviceMemory memory() {
    const PricedGraph priced = std::move(builder_).build();
    return memory_timeline(priced.graph, replay(priced.graph, priced.costs)).at(0);
  }

 private:
  PricedBuilder builder_{1};
};

// 100 B persist. x (10 B) lives 1 to 4, y (40 B) from 2 to 3. Peak from 2 on: 150 B.
TEST(MemoryTimeline, MatchesAHandComputedCase) {
  Sequence sequence;
  sequence.buffer(100_B, BufferCategory::parameter, true);
  const BufferId x = sequence.buffer(10_B);
  const BufferId y = sequence.buffer(40_B, BufferCategory::workspace);
  sequence.task(1s, {}, {});
  sequence.task(1s, {x}, {});
  sequence.task(1s, {y}, {y});
  sequence.task(1s, {}, {x});
  const DeviceMemory memory = sequence.memory();
  EXPECT_EQ(memory.peak, 150_B);
  EXPECT_EQ(memory.peak_at, 2s);
  EXPECT_EQ(memory.at_peak[static_cast<std::size_t>(BufferCategory::parameter)], 100_B);
  EXPECT_EQ(memory.at_peak[static_cast<std::size_t>(BufferCategory::activation)], 10_B);
  EXPECT_EQ(memory.at_peak[static_cast<std::size_t>(BufferCategory::workspace)], 40_B);
  EXPECT_THAT(memory.points, ElementsAre(Point{0s, 100_B}, Point{1s, 110_B}, Point{2s, 150_B},
                                         Point{3s, 110_B}, Point{4s, 100_B}));
}

// x ends at 1 s, when y of the same size begins: never both, and nothing changes at 1 s.
TEST(MemoryTimeline, FreesBeforeItAllocatesAtOneInstant) {
  Sequence sequence;
  const BufferId x = sequence.buffer(10_B);
  const BufferId y = sequence.buffer(10_B);
  sequence.task(1s, {x}, {x});
  sequence.task(1s, {y}, {y});
  const DeviceMemory memory = sequence.memory();
  EXPECT_EQ(memory.peak, 10_B);
  EXPECT_EQ(memory.peak_at, 0s);
  EXPECT_THAT(memory.points, ElementsAre(Point{0s, 10_B}, Point{2s, 0_B}));
}

// The second task takes no time: what it frees at its end it held at its start, beside y.
TEST(MemoryTimeline, HoldsWhatATaskOfNoLengthFreesUntilItEnds) {
  Sequence sequence;
  const BufferId x = sequence.buffer(10_B);
  const BufferId y = sequence.buffer(7_B);
  sequence.task(1s, {x}, {});
  sequence.task(0s, {y}, {x});
  sequence.task(1s, {}, {y});
  const DeviceMemory memory = sequence.memory();
  EXPECT_EQ(memory.peak, 17_B);
  EXPECT_EQ(memory.peak_at, 1s);
  EXPECT_THAT(memory.points, ElementsAre(Point{0s, 10_B}, Point{1s, 7_B}, Point{2s, 0_B}));
}

TEST(MemoryTimeline, OfPersistentBuffersAloneIsTheirSum) {
  Sequence sequence;
  sequence.buffer(30_B, BufferCategory::gradient, true);
  sequence.buffer(12_B, BufferCategory::gradient, true);
  const DeviceMemory memory = sequence.memory();
  EXPECT_EQ(memory.peak, 42_B);
  EXPECT_EQ(memory.peak_at, 0s);
  EXPECT_EQ(memory.at_peak[static_cast<std::size_t>(BufferCategory::gradient)], 42_B);
  EXPECT_THAT(memory.points, ElementsAre(Point{0s, 42_B}));
}

// A copy to device 1 frees the buffer on device 0 that it has read: each device books its own.
TEST(MemoryTimeline, BooksABufferWhereItLies) {
  PricedBuilder builder(2);
  const BufferId x = builder.builder().add_buffer({.device = DeviceId{0}, .bytes = 8_B});
  const BufferId y = builder.builder().add_buffer({.device = DeviceId{1}, .bytes = 8_B});
  const TaskId a = builder.add({.op = builder.op(), .allocates = {x}}, 1s);
  builder.add({.kind = TaskKind::transfer,
               .device = DeviceId{1},
               .source = DeviceId{0},
               .after = {a},
               .allocates = {y},
               .frees = {x, y}},
              2s);
  const PricedGraph priced = std::move(builder).build();
  const auto memory = memory_timeline(priced.graph, replay(priced.graph, priced.costs));
  EXPECT_THAT(memory[0].points, ElementsAre(Point{0s, 8_B}, Point{3s, 0_B}));
  EXPECT_THAT(memory[1].points, ElementsAre(Point{0s, 0_B}, Point{1s, 8_B}, Point{3s, 0_B}));
}

/// The peaks by stage of a pipeline whose forward of a micro-batch leaves 1 B until its backward.
std::vector<Bytes> peaks(int stages, int micro_batches, bool by_turns) {
  PricedBuilder builder(stages);
  for (int s = 0; s < stages; ++s) {
    const auto order = by_turns ? one_forward_one_backward_order(micro_batches, stages - 1 - s)
                                : gpipe_order(micro_batches);
    std::vector<BufferId> held;
    for (int i = 0; i < micro_batches; ++i) {
      held.push_back(builder.builder().add_buffer({.device = DeviceId{s}, .bytes = 1_B}));
    }
    for (const int step : order) {
      TaskSpec spec{.device = DeviceId{s}, .op = builder.op()};
      if (step >= 0) spec.allocates = {held[static_cast<std::size_t>(step)]};
      if (step < 0) spec.frees = {held[static_cast<std::size_t>(-1 - step)]};
      builder.add(spec, 1s);
    }
  }
  const PricedGraph priced = std::move(builder).build();
  std::vector<Bytes> result;
  for (const DeviceMemory& memory :
       memory_timeline(priced.graph, replay(priced.graph, priced.costs))) {
    result.push_back(memory.peak);
  }
  return result;
}

// In flight on stage r of p: m under GPipe, min(m, p - r) under 1F1B.
TEST(MemoryTimeline, PipelinesHoldTheMicroBatchesOfTheirSchedule) {
  EXPECT_THAT(peaks(4, 8, false), ElementsAre(8_B, 8_B, 8_B, 8_B));
  EXPECT_THAT(peaks(4, 8, true), ElementsAre(4_B, 3_B, 2_B, 1_B));
  EXPECT_THAT(peaks(4, 2, true), ElementsAre(2_B, 2_B, 2_B, 1_B));
}

TEST(MemoryTimeline, EndsWithWhatPersists) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 30; ++trial) {
    Sequence sequence;
    sequence.buffer(5_B, BufferCategory::parameter, true);
    std::vector<BufferId> live;
    for (int i = 0; i < 20; ++i) {
      const BufferId fresh = sequence.buffer(Bytes{1 + static_cast<std::int64_t>(random() % 9)});
      std::vector<BufferId> frees;
      if (random() % 2 == 0) frees.swap(live);
      live.push_back(fresh);
      sequence.task(Duration(random() % 3), {fresh}, frees);
    }
    sequence.task(1s, {}, live);
    const DeviceMemory memory = sequence.memory();
    EXPECT_EQ(memory.points.back().in_use, 5_B);
    Bytes at_peak;
    for (const Bytes part : memory.at_peak) at_peak += part;
    EXPECT_EQ(at_peak, memory.peak);
    for (std::size_t i = 0; i < memory.points.size(); ++i) {
      EXPECT_LE(memory.points[i].in_use, memory.peak);
      if (i > 0) {
        EXPECT_LT(memory.points[i - 1].at, memory.points[i].at);
      }
    }
  }
}

TEST(MemoryTimeline, RejectsATimelineOfAnotherGraph) {
  PricedBuilder builder(1);
  builder.work(0, 1s);
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT([&] { memory_timeline(priced.graph, Timeline{}); },
              ThrowsMessage<Error>("the graph has 1 tasks, but the timeline has 0"));
}

}  // namespace
}  // namespace foreplan
