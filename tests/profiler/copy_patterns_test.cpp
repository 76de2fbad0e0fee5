#include "profiler/copy_patterns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/profiler/paper_session.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::multiset<std::string> names(const std::vector<CopyPattern>& patterns) {
  std::multiset<std::string> result;
  for (const CopyPattern& pattern : patterns) result.insert(pattern.name);
  return result;
}

TEST(CopyPatterns, TakeEveryOrderedPair) {
  EXPECT_THAT(lone_copies(1), SizeIs(1));
  EXPECT_THAT(lone_copies(3), SizeIs(9));
}

// Four devices: six pairs both ways; one to all, all to one, a ring, two pairs.
TEST(CopyPatterns, RunTogetherInAllWaysThatThereAreDevicesFor) {
  EXPECT_THAT(copies_together(1), IsEmpty());
  EXPECT_THAT(names(copies_together(2)), ElementsAre("both ways"));
  const auto four = copies_together(4);
  EXPECT_EQ(names(four).count("both ways"), 6U);
  EXPECT_THAT(four, SizeIs(10));
  EXPECT_EQ(four.back().name, "pairs");
  EXPECT_EQ(four.back().pairs, (std::vector<ProfiledCopies::Pair>{{DeviceId{0}, DeviceId{1}},
                                                                  {DeviceId{2}, DeviceId{3}}}));
}

TEST(CopySizes, GoByPowersOfFourUpToTheMost) {
  EXPECT_THAT(copy_sizes(4_KiB), ElementsAre(4_KiB));
  EXPECT_THAT(copy_sizes(100_KiB), ElementsAre(4_KiB, 16_KiB, 64_KiB, 100_KiB));
  EXPECT_EQ(copy_sizes(1_GiB).back(), 1_GiB);
}

TEST(LoneCopyGraph, HasOneDeviceCopyAndNobodyElse) {
  const TaskGraph graph = lone_copy_graph(3, {DeviceId{2}, DeviceId{0}}, {4_KiB, 1_KiB}, 2);
  ASSERT_EQ(graph.size(), 4U);
  for (std::size_t t = 0; t < 4; ++t) {
    EXPECT_EQ(graph.source[t], DeviceId{2});
    EXPECT_EQ(graph.device[t], DeviceId{0});
    EXPECT_EQ(graph.bytes[t], t < 2 ? 4_KiB : 1_KiB);
  }
}

// Five copies a pair; the first and the last of each may run alone and do not count. Those that count
// take 3 us between 0 and 1 and 5 us the other way: 4 us in the mean of 2 pairs x 3 copies x 2 steps.
TEST(MeasurePattern, TakesTheMeanOfCopiesThatRunBesideOthers) {
  PaperSession session(2, [](const TaskGraph& graph) {
    return run_streams(graph, [&](std::size_t t) {
      const bool edge = t % 5 == 0 || t % 5 == 4;
      if (edge) return Duration(1us);
      return Duration(graph.device[t] == DeviceId{1} ? 3us : 5us);
    });
  });
  const CopyPattern both{"both ways", {{DeviceId{0}, DeviceId{1}}, {DeviceId{1}, DeviceId{0}}}};
  const ProfiledCopies copies = measure_pattern(session, both, 1_MB, 2);
  EXPECT_EQ(copies.pairs, both.pairs);
  EXPECT_EQ(copies.bytes, 1_MB);
  EXPECT_EQ(copies.time.mean, 4us);
  EXPECT_EQ(copies.time.samples, 12);
  EXPECT_THAT(session.unloaded, ElementsAre(0U));
}

}  // namespace
}  // namespace foreplan
