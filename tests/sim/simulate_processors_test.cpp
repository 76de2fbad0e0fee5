// Logical devices of one processor share it (sim/simulate.hpp).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "sim/simulate.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

SimulationResult run(const PricedGraph& priced, const Cluster& cluster) {
  return simulate(priced.graph, priced.costs, cluster);
}

/// Devices that are one processor.
Cluster one_processor(int devices) {
  const Cluster apart = star(devices, 1_GBps);
  std::vector<Vertex> vertices = apart.vertices();
  for (Vertex& vertex : vertices) vertex.processor = "gpu0";
  std::vector<Cluster::LinkSpec> links;
  for (std::size_t i = 0; i < apart.links().size(); i += 2) {
    const Link& link = apart.links()[i];
    links.push_back({link.from, link.to, link.bandwidth, link.latency});
  }
  return {"shared", apart.specs(), vertices, links};
}

PricedGraph two_on_two_devices(const Demand& first, const Demand& second) {
  PricedBuilder builder(2);
  builder.work(0, 2s);
  builder.work(1, 6s);
  builder.costs().demand = {first, second};
  return std::move(builder).build();
}

// Each wants all multiprocessors: both at half speed until the first has had its 2 s, at 4 s; then
// the other has 4 s left. In all 8 s, as one behind the other.
TEST(SimulateProcessors, SlowsDownWhatWantsTheWholeProcessor) {
  const Timeline t = run(two_on_two_devices({1, 0}, {1, 0}), one_processor(2)).timeline;
  EXPECT_THAT(t.start, ElementsAre(0s, 0s));
  EXPECT_THAT(t.finish, ElementsAre(4s, 8s));
}

TEST(SimulateProcessors, LetsGoWhatFitsSideBySide) {
  const Timeline t = run(two_on_two_devices({0.5, 0.25}, {0.5, 0.75}), one_processor(2)).timeline;
  EXPECT_THAT(t.finish, ElementsAre(2s, 6s));
}

// Bandwidth 0.75 + 0.75 = 1.5: the first ends at 3 s, when the second has done 2 s of its 6.
TEST(SimulateProcessors, SharesTheBandwidthToo) {
  const Timeline t = run(two_on_two_devices({0.1, 0.75}, {0.1, 0.75}), one_processor(2)).timeline;
  EXPECT_THAT(t.finish, ElementsAre(3s, 7s));
}

TEST(SimulateProcessors, LeavesProcessorsAlone) {
  const Timeline t = run(two_on_two_devices({1, 1}, {1, 1}), star(2, 1_GBps)).timeline;
  EXPECT_THAT(t.finish, ElementsAre(2s, 6s));
}

// What one processor does is never more than the work of one second a second: random tasks that want
// all of it end, in sum, when their work would end one behind the other.
TEST(SimulateProcessors, ConservesWork) {
  std::mt19937 random(3);
  PricedBuilder builder(4);
  Duration work{};
  for (int i = 0; i < 40; ++i) {
    const Duration length = std::chrono::milliseconds(1 + random() % 900);
    builder.work(i % 4, length);
    work += length;
  }
  builder.costs().demand.assign(40, Demand{1, 0.5});
  const Timeline t = run(std::move(builder).build(), one_processor(4)).timeline;
  EXPECT_NEAR(seconds(makespan(t)), seconds(work), 1e-9);
}

}  // namespace
}  // namespace foreplan
