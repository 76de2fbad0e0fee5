#include "profiler/interference.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/profiler/paper_session.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

const OpKey kProduct{.op = "matmul", .shape = {8, 8, 8}};

struct Times {
  Duration compute_alone, compute_beside, other_alone, other_beside;
};

PaperSession session_of(const Times& times, int devices = 2) {
  return {devices, [times](const TaskGraph& graph) {
            const auto compute = [&](std::size_t t) { return graph.stream[t] == kComputeStream; };
            bool some = false, all = true;
            for (std::size_t t = 0; t < graph.size(); ++t) {
              some = some || compute(t);
              all = all && compute(t);
            }
            const bool beside = some && !all;
            return run_streams(graph, [&](std::size_t t) {
              if (compute(t)) return beside ? times.compute_beside : times.compute_alone;
              return beside ? times.other_beside : times.other_alone;
            });
          }};
}

// 12 us beside the copies, 10 us alone: 1.2. 45 us beside the product, 30 us alone: 1.5.
TEST(Interference, IsTimeBesideTheOtherOverTimeAlone) {
  PaperSession session = session_of({10us, 12us, 30us, 45us});
  const Interference found = measure_interference(
      session, kProduct, {.kind = Communication::Kind::copy, .source = DeviceId{1}, .bytes = 1_MB},
      2);
  EXPECT_DOUBLE_EQ(found.slowdown, 1.2);
  EXPECT_DOUBLE_EQ(found.communication_slowdown, 1.5);
  EXPECT_EQ(found.compute, "matmul.forward[8x8x8] fp32");
  EXPECT_EQ(found.communication, "copy 1 MB 1->0");
  EXPECT_GT(found.samples, 0);
  EXPECT_EQ(session.unloaded.size(), session.graphs.size());
}

TEST(Interference, MeasuresReductionsToo) {
  PaperSession session = session_of({10us, 20us, 10us, 20us}, 1);
  const Interference found = measure_interference(
      session, kProduct, {.kind = Communication::Kind::reduction, .bytes = 4000_B}, 1);
  EXPECT_DOUBLE_EQ(found.slowdown, 2);
  EXPECT_EQ(found.communication, "accumulate.forward[1000] fp32");
}

// The longer side runs six times, the other as often as fills the same time: 6 * 40 / 10 = 24.
TEST(Interference, RunsBothSidesForAboutAsLong) {
  PaperSession session = session_of({40us, 40us, 10us, 10us});
  measure_interference(session, kProduct, {.bytes = 1_MB}, 1);
  const TaskGraph& both = session.graphs.back();
  const auto compute = std::count(both.stream.begin(), both.stream.end(), kComputeStream);
  EXPECT_EQ(compute, 6);
  EXPECT_EQ(both.size(), 30U);
}

// Alone each takes 10 us; at once the whole stream of copies lies behind the product's: none counts.
TEST(Interference, IsOneWhereNothingRanBesideTheOther) {
  PaperSession session(1, [](const TaskGraph& graph) {
    Duration at{};
    MeasuredStep step;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      step.timeline.start.push_back(at);
      step.timeline.finish.push_back(at += 10us);
    }
    return step;
  });
  const Interference found = measure_interference(session, kProduct, {.bytes = 1_KB}, 1);
  EXPECT_EQ(found.slowdown, 1);
  EXPECT_EQ(found.communication_slowdown, 1);
  EXPECT_EQ(found.samples, 0);
}

}  // namespace
}  // namespace foreplan
