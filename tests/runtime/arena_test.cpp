#include "runtime/arena.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;

/// Builds graphs of "copy" tasks whose data does not matter.
class Sketch {
 public:
  explicit Sketch(int devices = 1) : builder_(devices) {
    op_ = builder_.add_op({.key = {.op = "copy", .shape = {1}}, .flops = {}, .traffic = {}});
  }
  BufferId buffer(Bytes size, bool persistent = false, int device = 0) {
    return builder_.add_buffer(
        {.device = DeviceId{device}, .bytes = size, .persistent = persistent, .name = ""});
  }
  TaskId task(TaskSpec spec) {
    spec.op = op_;
    return builder_.add(std::move(spec));
  }
  TaskGraph graph() { return std::move(builder_).build(); }

 private:
  TaskGraphBuilder builder_;
  OpId op_{};
};

BufferRange whole(BufferId buffer, Bytes size) { return {buffer, Bytes{0}, size}; }

ArenaPlan plan(const TaskGraph& graph) { return plan_arenas(graph, Chains(graph)); }

// One stream: a lives in task 0, b in task 1. b may take a's place: 64 bytes hold both.
TEST(ArenaPlan, ReusesMemoryInOrderOfAStream) {
  Sketch s;
  const BufferId a = s.buffer(64_B), b = s.buffer(64_B);
  s.task({.allocates = {a}, .frees = {a}});
  s.task({.allocates = {b}, .frees = {b}});
  const ArenaPlan p = plan(s.graph());
  EXPECT_EQ(p.offset[index(a)], p.offset[index(b)]);
  EXPECT_EQ(p.size[0], 64_B);
}

// Two streams and no dependency: they may be alive together, so each needs its place.
TEST(ArenaPlan, SharesNothingBetweenUnorderedTasks) {
  Sketch s;
  const BufferId a = s.buffer(64_B), b = s.buffer(64_B);
  s.task({.stream = kComputeStream, .allocates = {a}, .frees = {a}});
  s.task({.stream = kCollectiveStream, .allocates = {b}, .frees = {b}});
  const ArenaPlan p = plan(s.graph());
  EXPECT_NE(p.offset[index(a)], p.offset[index(b)]);
  EXPECT_EQ(p.size[0], 128_B);
}

// As before, with a dependency by way of another device: 0 -> 1 (device 1) -> 2.
TEST(ArenaPlan, ReusesMemoryAcrossStreamsWhenADependencyOrdersThem) {
  Sketch s(2);
  const BufferId a = s.buffer(64_B), b = s.buffer(64_B);
  const TaskId first = s.task({.allocates = {a}, .frees = {a}});
  const TaskId between = s.task({.device = DeviceId{1}, .after = {first}});
  s.task({.stream = kCollectiveStream, .after = {between}, .allocates = {b}, .frees = {b}});
  EXPECT_EQ(plan(s.graph()).size[0], 64_B);
}

// A buffer freed by a task and one allocated by the same task live at once.
TEST(ArenaPlan, KeepsInputAndOutputOfOneTaskApart) {
  Sketch s;
  const BufferId a = s.buffer(64_B), b = s.buffer(64_B);
  s.task({.allocates = {a}});
  s.task({.allocates = {b}, .frees = {a, b}});
  EXPECT_EQ(plan(s.graph()).size[0], 128_B);
}

// Sizes round up to 64 B: 1 B and 65 B take 64 + 128. The persistent one comes first and stays; the
// 65 B of task 1 fit into the hole that the 200 B (256 B) of task 0 leave.
TEST(ArenaPlan, AlignsAndFillsHolesFirst) {
  Sketch s;
  const BufferId big = s.buffer(200_B), later = s.buffer(65_B);
  const BufferId kept = s.buffer(1_B, true);
  s.task({.allocates = {big}, .frees = {big}});
  s.task({.allocates = {later}, .frees = {later}});
  const ArenaPlan p = plan(s.graph());
  EXPECT_EQ(p.offset[index(kept)], 0_B);
  EXPECT_EQ(p.offset[index(big)], 64_B);
  EXPECT_EQ(p.offset[index(later)], 64_B);
  EXPECT_EQ(p.size[0], 320_B);
}

TEST(ArenaPlan, GivesEveryDeviceItsOwnArena) {
  Sketch s(3);
  s.buffer(64_B, true, 0);
  s.buffer(128_B, true, 2);
  s.task({});
  const ArenaPlan p = plan(s.graph());
  EXPECT_EQ(p.size, (std::vector<Bytes>{64_B, 0_B, 128_B}));
}

// Property: whatever two buffers of a random graph share memory, the one is freed before the other
// is allocated.
TEST(ArenaPlan, NeverOverlapsBuffersThatMayLiveTogether) {
  std::uint64_t state = 1;
  const auto random = [&](std::uint64_t n) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int>((state >> 33U) % n);
  };
  for (int round = 0; round < 20; ++round) {
    Sketch s(2);
    std::vector<TaskId> allocated, freed;
    std::vector<Bytes> sizes;
    for (int i = 0; i < 40; ++i) {
      const DeviceId device{random(2)};
      const StreamId stream{static_cast<std::int16_t>(random(3) - 1)};
      TaskSpec spec{.device = device, .stream = stream};
      if (i > 0) spec.after = {TaskId{random(static_cast<std::uint64_t>(i))}};
      sizes.push_back(Bytes{64 * (1 + random(4))});
      const BufferId b = s.buffer(sizes.back(), false, static_cast<int>(device));
      spec.allocates = {b};
      const TaskId first = s.task(spec);
      const TaskId last =
          s.task({.device = device, .stream = stream, .after = {first}, .frees = {b}});
      allocated.push_back(first);
      freed.push_back(last);
    }
    const TaskGraph graph = s.graph();
    const Chains chains(graph);
    const ArenaPlan p = plan_arenas(graph, chains);
    for (std::size_t a = 0; a < sizes.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        const bool apart = graph.buffers[a].device != graph.buffers[b].device ||
                           p.offset[a] + sizes[a] <= p.offset[b] ||
                           p.offset[b] + sizes[b] <= p.offset[a];
        EXPECT_TRUE(apart || chains.before(freed[a], allocated[b]) ||
                    chains.before(freed[b], allocated[a]));
      }
    }
  }
}

std::string complaint(const TaskGraph& graph) {
  return rejection([&] { check_accesses(graph, Chains(graph)); });
}

TEST(CheckAccesses, FindsARaceBetweenStreams) {
  Sketch s;
  const BufferId b = s.buffer(64_B, true);
  s.task({.writes = {{b, 0_B, 32_B}}});
  s.task({.stream = kCollectiveStream, .reads = {{b, 16_B, 48_B}}});
  const std::string what = complaint(s.graph());
  EXPECT_THAT(what, HasSubstr("task 0"));
  EXPECT_THAT(what, HasSubstr("races with task 1"));
  EXPECT_THAT(what, HasSubstr("for bytes 16 to 32"));
  EXPECT_THAT(what, HasSubstr("buffer 0"));
}

TEST(CheckAccesses, AllowsReadersTogetherAndWritersApart) {
  Sketch s;
  const BufferId b = s.buffer(64_B, true);
  s.task({.reads = {{b, 0_B, 32_B}}, .writes = {{b, 32_B, 16_B}}});
  s.task({.stream = kCollectiveStream, .reads = {{b, 0_B, 32_B}}, .writes = {{b, 48_B, 16_B}}});
  EXPECT_EQ(complaint(s.graph()), "accepted");
}

TEST(CheckAccesses, AllowsWhatADependencyOrders) {
  Sketch s;
  const BufferId b = s.buffer(64_B, true);
  const TaskId first = s.task({.writes = {whole(b, 64_B)}});
  s.task({.stream = kCollectiveStream, .after = {first}, .writes = {whole(b, 64_B)}});
  EXPECT_EQ(complaint(s.graph()), "accepted");
}

TEST(CheckAccesses, FindsAUseThatMayComeBeforeTheAllocation) {
  Sketch s;
  const BufferId b = s.buffer(64_B);
  const TaskId first = s.task({.allocates = {b}});
  s.task({.stream = kCollectiveStream, .reads = {whole(b, 64_B)}});
  s.task({.after = {first}, .frees = {b}});
  EXPECT_THAT(complaint(s.graph()), HasSubstr("it may run before the allocation by task 0"));
}

TEST(CheckAccesses, FindsAUseThatMayComeAfterTheFree) {
  Sketch s;
  const BufferId b = s.buffer(64_B);
  const TaskId first = s.task({.allocates = {b}});
  s.task({.stream = kCollectiveStream, .after = {first}, .reads = {whole(b, 64_B)}});
  s.task({.frees = {b}});
  EXPECT_THAT(complaint(s.graph()), HasSubstr("it may run after the free by task 2"));
}

TEST(CheckAccesses, FindsABufferOfAnotherDevice) {
  Sketch s(2);
  const BufferId b = s.buffer(64_B, true, 1);
  s.task({.reads = {whole(b, 64_B)}});
  EXPECT_THAT(complaint(s.graph()), HasSubstr("the buffer is not on device 0"));
}

// a -> b -> c on three streams, and a -> c: c waits for b only.
TEST(Chains, WaitForNothingThatIsImplied) {
  Sketch s;
  const TaskId a = s.task({.stream = kComputeStream});
  const TaskId b = s.task({.stream = kCopyInStream, .after = {a}});
  const TaskId c = s.task({.stream = kCopyOutStream, .after = {a, b}});
  const TaskId d = s.task({.stream = kCopyOutStream, .after = {a, b, c}});
  const TaskGraph graph = s.graph();
  const Chains chains(graph);
  EXPECT_EQ(chains.waits(graph, c), std::vector{b});
  EXPECT_TRUE(chains.waits(graph, d).empty());
  EXPECT_TRUE(chains.before(a, d));
  EXPECT_FALSE(chains.before(d, a));
}

}  // namespace
}  // namespace foreplan
