#include "sim/processor_sharing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::ThrowsMessage;

std::vector<double> rates(const std::vector<Demand>& demands) {
  ProcessorSharing sharing(1);
  for (std::size_t i = 0; i < demands.size(); ++i) {
    sharing.begin({.number = static_cast<std::int32_t>(i), .demand = demands[i], .work = 1s}, {});
  }
  std::vector<double> result;
  for (const auto& due : sharing.reschedule({})) result.push_back(due.rate);
  return result;
}

// sigma = 0.2: 1 / (1 / 0.8) = 0.8. The communication goes on as if it were alone.
TEST(Overlap, LeavesAKernelTheMultiprocessorsThatAreNotHeld) {
  EXPECT_THAT(rates({{.multiprocessors = 1, .bandwidth = 0.3},
                     {.multiprocessors = 0.2, .bandwidth = 0.1, .holds = true}}),
              ElementsAre(DoubleEq(0.8), 1));
}

// mu = 0.4, m = 0.9: 0.6 / 0.9 = 2/3, though the copy needs no multiprocessors.
TEST(Overlap, LeavesAKernelTheBandwidthThatIsNotHeld) {
  EXPECT_THAT(rates({{.multiprocessors = 0.5, .bandwidth = 0.9},
                     {.multiprocessors = 0, .bandwidth = 0.4, .holds = true}}),
              ElementsAre(DoubleEq(2.0 / 3), 1));
}

// Limit: what fits beside the communication does not feel it; nor does anything where nothing is held.
TEST(Overlap, DoesNotSlowWhatFitsBeside) {
  EXPECT_THAT(rates({{.multiprocessors = 0.8, .bandwidth = 0.5},
                     {.multiprocessors = 0.2, .bandwidth = 0.5, .holds = true}}),
              ElementsAre(1, 1));
  EXPECT_THAT(rates({{.multiprocessors = 1, .bandwidth = 1},
                     {.multiprocessors = 0, .bandwidth = 0, .holds = true}}),
              ElementsAre(1, 1));
}

// Two kernels of 0.5 and 0.7 under sigma = 0.4: 0.6 / 1.2 = 0.5 each.
TEST(Overlap, KernelsShareAlikeWhatIsLeft) {
  EXPECT_THAT(rates({{.multiprocessors = 0.5},
                     {.multiprocessors = 0.7},
                     {.multiprocessors = 0.4, .holds = true}}),
              ElementsAre(DoubleEq(0.5), DoubleEq(0.5), 1));
}

// A copy that could take all bandwidth has half of it beside a kernel, and so has the kernel: 0.5 of
// the 0.8 that it wants. Alone the copy has all.
TEST(Overlap, LeavesAKernelItsPartOfWhatIsWantedWhole) {
  EXPECT_THAT(rates({{.multiprocessors = 1, .bandwidth = 0.8},
                     {.multiprocessors = 0, .bandwidth = 1, .holds = true}}),
              ElementsAre(DoubleEq(0.5 / 0.8), DoubleEq(0.5)));
  EXPECT_THAT(rates({{.multiprocessors = 0, .bandwidth = 1, .holds = true}}), ElementsAre(1));
}

TEST(Overlap, SlowsCommunicationByItsFactorWhileKernelsRun) {
  const Demand communication{.multiprocessors = 0.2, .holds = true, .slowdown = 1.25};
  EXPECT_THAT(rates({communication, {.multiprocessors = 0.5}}), ElementsAre(DoubleEq(0.8), 1));
  EXPECT_THAT(rates({communication}), ElementsAre(1));
}

// On one device a kernel of 10 s, alone on the processor but for a collective's kernel of 4 s that
// holds 0.2. Until that ends the kernel has done 0.8 * 4 = 3.2 s; then 6.8 s are left: 10.8 s.
TEST(Overlap, SlowsComputeUnderACollective) {
  PricedBuilder builder(1);
  builder.work(0, 10s);
  builder.add({.stream = kCollectiveStream, .op = builder.op()}, 4s);
  builder.costs().demand = {{.multiprocessors = 1}, {.multiprocessors = 0.2, .holds = true}};
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT(simulate(priced.graph, priced.costs, star(1, 1_GBps)).timeline.finish,
              ElementsAre(10'800ms, 4s));
}

// The same with bytes on a link: 1 GB at 1 GB/s would take 1 s; at a slowdown of 2 while the kernel
// runs it takes until 2 s. By then the kernel, with 0.5 held of the 1 that it wants, has done 1 of its
// 3 s: it ends at 4 s.
TEST(Overlap, WorksInBothDirectionsForFlows) {
  PricedBuilder builder(2);
  builder.work(1, 3s);
  builder.transfer({0, 1}, 1_GB);
  builder.costs().demand = {{.multiprocessors = 1},
                            {.multiprocessors = 0.5, .holds = true, .slowdown = 2}};
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT(simulate(priced.graph, priced.costs, star(2, 1_GBps)).timeline.finish,
              ElementsAre(4s, 2s));
}

TEST(Overlap, RejectsASlowdownThatSpeedsUp) {
  PricedBuilder builder(1);
  builder.work(0, 1s);
  builder.costs().demand = {{.holds = true, .slowdown = 0.5}};
  const PricedGraph priced = std::move(builder).build();
  EXPECT_THAT([&] { simulate(priced.graph, priced.costs, star(1, 1_GBps)); },
              ThrowsMessage<Error>("expected slowdowns of at least 1, got 0.5"));
}

}  // namespace
}  // namespace foreplan
