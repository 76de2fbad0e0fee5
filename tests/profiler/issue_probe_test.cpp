#include "profiler/issue_probe.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/profiler/paper_session.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

struct Counts {
  int records = 0, waits = 0;
};

/// What has to be handed out beside the tasks.
Counts counts_of(const TaskGraph& graph) {
  Counts counts;
  std::set<TaskId> recorded;
  for (std::size_t t = 0; t < graph.size(); ++t) {
    for (const TaskId before : graph.after[t]) {
      if (graph.stream[index(before)] == graph.stream[t]) continue;
      ++counts.waits;
      recorded.insert(before);
    }
  }
  counts.records = static_cast<int>(recorded.size());
  return counts;
}

TEST(IssueGraph, HasOneRecordATripleAndAWaitAConsumer) {
  for (int consumers = 0; consumers < 3; ++consumers) {
    const TaskGraph graph = issue_graph(7, consumers);
    EXPECT_EQ(graph.size(), 21U);
    EXPECT_EQ(counts_of(graph).waits, 7 * consumers);
    EXPECT_EQ(counts_of(graph).records, consumers > 0 ? 7 : 0);
  }
}

TEST(DependentGraph, BeginsWithWorkThatLetsTheIssuerGetAhead) {
  const TaskGraph graph = dependent_graph(4, 1_MB);
  ASSERT_EQ(graph.size(), 5U);
  EXPECT_EQ(graph.ops[index(graph.op[0])].key.shape, (std::vector<std::int64_t>{250'000}));
  for (std::size_t t = 1; t < 5; ++t) {
    EXPECT_EQ(graph.stream[t], graph.stream[0]);
    EXPECT_EQ(graph.ops[index(graph.op[t])].key.shape[0], 16);
  }
}

// A thread that takes 3 us a task, 700 ns a record and 500 ns a wait.
TEST(MeasureIssue, TellsTasksRecordsAndWaitsApart) {
  PaperSession session(1, [](const TaskGraph& graph) {
    const Counts counts = counts_of(graph);
    MeasuredStep step;
    step.issued =
        static_cast<int>(graph.size()) * 3us + counts.records * 700ns + counts.waits * 500ns;
    return step;
  });
  const auto issue = measure_issue(session, 4);
  ASSERT_TRUE(issue);
  EXPECT_EQ(issue->task.mean, 3us);
  EXPECT_EQ(issue->record.mean, 700ns);
  EXPECT_EQ(issue->wait.mean, 500ns);
  EXPECT_EQ(issue->task.samples, 4);
  EXPECT_EQ(session.unloaded.size(), session.graphs.size());
}

TEST(MeasureIssue, SaysNothingWhereTheSessionSaysNothing) {
  PaperSession session(1, [](const TaskGraph&) { return MeasuredStep{}; });
  EXPECT_FALSE(measure_issue(session, 4));
}

}  // namespace
}  // namespace foreplan
