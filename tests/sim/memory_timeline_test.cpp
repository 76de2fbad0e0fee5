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

bool operator==(const Holder& a, const Holder& b) {
  return a.buffer == b.buffer && a.allocated_by == b.allocated_by && a.freed_by == b.freed_by;
}

bool operator==(const ReservedMemory::Point& a, const ReservedMemory::Point& b) {
  return a.at == b.at && a.reserved == b.reserved;
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
  ReservedMemory reserved() {
    const PricedGraph priced = std::move(builder_).build();
    return reserved_memory(priced.graph, replay(priced.graph, priced.costs)).at(0);
  }
  /// The buffers at the peak, checked to add up to it.
  std::vector<Holder> holders() {
    const PricedGraph priced = std::move(builder_).build();
    const Timeline timeline = replay(priced.graph, priced.costs);
    const DeviceMemory memory = memory_timeline(priced.graph, timeline).at(0);
    std::vector<Holder> holders = peak_holders(priced.graph, timeline, DeviceId{0}, memory.peak_at);
    Bytes sum;
    for (const Holder& holder : holders) sum += priced.graph.buffers[index(holder.buffer)].bytes;
    EXPECT_EQ(sum, memory.peak);
    return holders;
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

// 5 B move from one category to another at 1 s: the sum stays, and yet it is a point.
TEST(MemoryTimeline, TellsCategoriesOverTime) {
  Sequence sequence;
  const BufferId x = sequence.buffer(5_B);
  const BufferId y = sequence.buffer(5_B, BufferCategory::workspace);
  sequence.task(1s, {x}, {x});
  sequence.task(1s, {y}, {y});
  const DeviceMemory memory = sequence.memory();
  ASSERT_EQ(memory.points.size(), 3U);
  const auto of = [&](std::size_t point, BufferCategory category) {
    return memory.points[point].by_category[static_cast<std::size_t>(category)];
  };
  EXPECT_EQ(of(0, BufferCategory::activation), 5_B);
  EXPECT_EQ(of(0, BufferCategory::workspace), 0_B);
  EXPECT_EQ(memory.points[1].at, 1s);
  EXPECT_EQ(of(1, BufferCategory::activation), 0_B);
  EXPECT_EQ(of(1, BufferCategory::workspace), 5_B);
}

// From 2 s on 150 B: the parameters, y of task 2 which frees it too, x of task 1 until task 3; z is gone.
TEST(PeakHolders, AreTheBuffersOfThePeakLargestFirst) {
  Sequence sequence;
  const BufferId weights = sequence.buffer(100_B, BufferCategory::parameter, true);
  const BufferId x = sequence.buffer(10_B), z = sequence.buffer(20_B), y = sequence.buffer(40_B);
  sequence.task(1s, {z}, {z});
  sequence.task(1s, {x}, {});
  sequence.task(1s, {y}, {y});
  sequence.task(1s, {}, {x});
  EXPECT_THAT(sequence.holders(),
              ElementsAre(Holder{weights, {}, {}}, Holder{y, TaskId{2}, TaskId{2}},
                          Holder{x, TaskId{1}, TaskId{3}}));
}

// The second task takes no time, and holds x beside y.
TEST(PeakHolders, HoldWhatATaskOfNoLengthFrees) {
  Sequence sequence;
  const BufferId x = sequence.buffer(10_B), y = sequence.buffer(10_B);
  sequence.task(1s, {x}, {});
  sequence.task(0s, {y}, {x});
  sequence.task(1s, {}, {y});
  EXPECT_THAT(sequence.holders(),
              ElementsAre(Holder{x, TaskId{0}, TaskId{1}}, Holder{y, TaskId{1}, TaskId{2}}));
}

TEST(PeakHolders, AddUpToThePeakOfAnyGraph) {
  std::mt19937 random(8);
  for (int trial = 0; trial < 50; ++trial) {
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
    sequence.holders();
  }
}

TEST(PeakHolders, RejectWhatIsNotThere) {
  PricedBuilder builder(1);
  builder.work(0, 1s);
  const PricedGraph priced = std::move(builder).build();
  const Timeline timeline = replay(priced.graph, priced.costs);
  EXPECT_THAT([&] { peak_holders(priced.graph, Timeline{}, DeviceId{0}, 0s); },
              ThrowsMessage<Error>("the graph has 1 tasks, but the timeline has 0"));
  EXPECT_THAT([&] { peak_holders(priced.graph, timeline, DeviceId{1}, 0s); },
              ThrowsMessage<Error>("expected a device from 0 to 0, got 1"));
  EXPECT_THAT([&] { peak_holders(priced.graph, timeline, DeviceId{0}, -1s); },
              ThrowsMessage<Error>("expected an instant of the step, got a negative one"));
}

// Parameters of 30 MiB; x of 12 MiB lives 1 to 2 s. y of 12 MiB takes its place at 2 s; z of 13 MiB does
// not fit there at 3 s, and its segment is of 14.
TEST(ReservedMemory, MatchesAHandComputedCase) {
  constexpr std::int64_t kMiB = 1 << 20;
  Sequence sequence;
  sequence.buffer({30 * kMiB}, BufferCategory::parameter, true);
  const BufferId x = sequence.buffer({12 * kMiB}), y = sequence.buffer({12 * kMiB}),
                 z = sequence.buffer({13 * kMiB});
  sequence.task(1s, {}, {});
  sequence.task(1s, {x}, {x});
  sequence.task(1s, {y}, {y});
  sequence.task(1s, {z}, {z});
  const ReservedMemory memory = sequence.reserved();
  EXPECT_EQ(memory.peak_allocated, Bytes{44 * kMiB});  // z takes 14, as 1 MiB is not split off
  EXPECT_EQ(memory.peak_reserved, Bytes{56 * kMiB});
  EXPECT_EQ(memory.peak_at, 3s);
  using Reserved = ReservedMemory::Point;
  EXPECT_THAT(memory.points, ElementsAre(Reserved{0s, {30 * kMiB}}, Reserved{1s, {42 * kMiB}},
                                         Reserved{3s, {56 * kMiB}}));
}

TEST(ReservedMemory, RejectsATimelineOfAnotherGraph) {
  PricedBuilder builder(1);
  builder.work(0, 1s);
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT([&] { reserved_memory(priced.graph, Timeline{}); },
              ThrowsMessage<Error>("the graph has 1 tasks, but the timeline has 0"));
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
