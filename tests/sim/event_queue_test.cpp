#include "sim/event_queue.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>

namespace foreplan {
namespace {

EventQueue::Event event(int at, int task, int activity) {
  return {Duration(at), TaskId{task}, activity};
}

TEST(EventQueue, GivesTheEarliestAndOfOneInstantTheSmallestTask) {
  EventQueue queue;
  queue.set(event(20, 3, 0));
  queue.set(event(10, 4, 1));
  queue.set(event(10, 1, 2));
  for (const auto& expected : {event(10, 1, 2), event(10, 4, 1), event(20, 3, 0)}) {
    EXPECT_EQ(queue.top(), expected);
    queue.remove(expected);
  }
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, MovesAnEventBothWays) {
  EventQueue queue;
  queue.set(event(10, 0, 0));
  queue.set(event(20, 1, 1));
  queue.set(event(30, 0, 0));
  EXPECT_EQ(queue.top().task, TaskId{1});
  queue.set(event(5, 0, 0));
  EXPECT_EQ(queue.top(), event(5, 0, 0));
}

TEST(EventQueue, KeepsWhatAnActivityHasGotMeanwhile) {
  EventQueue queue;
  queue.set(event(10, 0, 0));
  queue.set(event(20, 5, 0));
  queue.remove(event(10, 0, 0));
  EXPECT_EQ(queue.top(), event(20, 5, 0));
}

TEST(EventQueue, ForgetsAllWhenCleared) {
  EventQueue queue;
  queue.set(event(10, 0, 9));
  queue.clear();
  EXPECT_TRUE(queue.empty());
  queue.set(event(1, 2, 3));
  EXPECT_EQ(queue.top(), event(1, 2, 3));
}

// Whatever is set, moved and taken away, the queue agrees with a search through all. Activities grow
// in number on the way; their tasks are others' numbers.
TEST(EventQueue, AgreesWithASearchThroughAll) {
  std::mt19937 random(11);
  EventQueue queue;
  std::map<int, std::pair<int, int>> expected;  // activity: instant, task
  for (int step = 0; step < 20000; ++step) {
    if (random() % 3 != 0 || expected.empty()) {
      const int activity = static_cast<int>(random() % (1 + static_cast<unsigned>(step) / 60));
      const int at = static_cast<int>(random() % 50);
      queue.set(event(at, 1000 - activity, activity));
      expected[activity] = {at, 1000 - activity};
      continue;
    }
    auto least = std::pair(expected.begin()->second, expected.begin()->first);
    for (const auto& [activity, key] : expected) least = std::min(least, std::pair(key, activity));
    ASSERT_EQ(queue.top(), event(least.first.first, least.first.second, least.second));
    queue.remove(event(least.first.first, least.first.second, least.second));
    expected.erase(least.second);
    ASSERT_EQ(queue.empty(), expected.empty());
  }
}

}  // namespace
}  // namespace foreplan
