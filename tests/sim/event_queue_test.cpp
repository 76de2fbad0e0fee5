#include "sim/event_queue.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace foreplan {
namespace {

TEST(EventQueue, GivesTheEarliestAndOfOneInstantTheSmallestTask) {
  EventQueue queue(5);
  queue.set(TaskId{3}, Duration(20));
  queue.set(TaskId{4}, Duration(10));
  queue.set(TaskId{1}, Duration(10));
  EXPECT_EQ(queue.top(), (EventQueue::Event{Duration(10), TaskId{1}}));
  queue.pop();
  EXPECT_EQ(queue.top(), (EventQueue::Event{Duration(10), TaskId{4}}));
  queue.pop();
  EXPECT_EQ(queue.top(), (EventQueue::Event{Duration(20), TaskId{3}}));
  queue.pop();
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, MovesAnEventBothWays) {
  EventQueue queue(2);
  queue.set(TaskId{0}, Duration(10));
  queue.set(TaskId{1}, Duration(20));
  queue.set(TaskId{0}, Duration(30));
  EXPECT_EQ(queue.top().task, TaskId{1});
  queue.set(TaskId{0}, Duration(5));
  EXPECT_EQ(queue.top(), (EventQueue::Event{Duration(5), TaskId{0}}));
}

// Whatever is set, moved and popped, the queue agrees with a sorted list of pairs.
TEST(EventQueue, AgreesWithASortedList) {
  std::mt19937 random(11);
  EventQueue queue(200);
  std::map<TaskId, Duration> expected;
  for (int step = 0; step < 5000; ++step) {
    if (random() % 3 != 0 || expected.empty()) {
      const auto task = static_cast<TaskId>(random() % 200);
      const Duration at(random() % 50);
      queue.set(task, at);
      expected[task] = at;
      continue;
    }
    EventQueue::Event least{Duration::max(), TaskId{}};
    for (const auto& [task, at] : expected) least = std::min(least, EventQueue::Event{at, task});
    ASSERT_EQ(queue.top(), least);
    queue.pop();
    expected.erase(least.task);
  }
}

}  // namespace
}  // namespace foreplan
