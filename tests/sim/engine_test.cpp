#include "sim/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "sim/error.hpp"
#include "tests/sim/graphs.hpp"
#include "tests/sim/random_graphs.hpp"
#include "tests/sim/reference_simulation.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ThrowsMessage;

/// Costs that name another answer each time: flows and durations drawn anew.
void draw_costs(std::mt19937& random, PricedGraph& priced) {
  for (std::size_t t = 0; t < priced.graph.size(); ++t) {
    priced.costs.duration[t] = Duration(random() % 1000);
    if (priced.graph.kind[t] != TaskKind::transfer) continue;
    priced.costs.flow[t] = Bytes{static_cast<std::int64_t>(random() % 3 * (random() % 2000))};
  }
}

TEST(Engine, AgreesWithTheDefinitionWhereNothingFlows) {
  std::mt19937 random(31);
  const Cluster cluster = star(4, 1_GBps);
  for (int trial = 0; trial < 100; ++trial) {
    const PricedGraph priced = random_graph(random, false);
    ASSERT_EQ(Engine(priced.graph, cluster).run(priced.costs).timeline.finish,
              reference_finish(priced.graph, priced.costs));
  }
}

/// Devices around switches of three, the switches around another by a link that three outrun.
Cluster tree(std::mt19937& random, bool duplex) {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < 4; ++d) {
    vertices.push_back({.id = "d" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
    const double rate = 1e9 * (1 + static_cast<double>(random() % 3));
    links.push_back({VertexId{d}, VertexId{4 + d / 2}, Bandwidth{rate}, Duration{}, duplex});
  }
  for (const char* id : {"left", "right", "root"}) {
    vertices.push_back({.id = id, .kind = VertexKind::network_switch});
  }
  for (int s = 4; s < 6; ++s) {
    links.push_back({VertexId{s}, VertexId{6}, Bandwidth{1.5e9}, Duration{}, duplex});
  }
  return {"tree", {plain_device()}, vertices, links};
}

// A fluid simulation from the definition, not rounded: whole picoseconds are off by a half at each of
// the changes of rate that lead to a finish, so by less than one a task.
TEST(Engine, AgreesWithTheDefinitionOfFairSharing) {
  std::mt19937 random(32);
  for (int trial = 0; trial < 60; ++trial) {
    const PricedGraph priced = random_graph(random, true);
    const Cluster cluster = tree(random, trial % 2 == 0);
    const SimulationResult result = Engine(priced.graph, cluster).run(priced.costs);
    const ReferenceSimulation reference(priced.graph, priced.costs, cluster);
    for (std::size_t t = 0; t < priced.graph.size(); ++t) {
      ASSERT_NEAR(static_cast<double>(result.timeline.finish[t].count()), reference.finish(t), 80)
          << "task " << t << " of trial " << trial;
    }
  }
}

// What a link moves is the integral of the rates over it, no more than its bandwidth allows in the
// time that it is busy.
TEST(Engine, ConservesWorkOnEveryLink) {
  std::mt19937 random(33);
  for (int trial = 0; trial < 40; ++trial) {
    const PricedGraph priced = random_graph(random, true);
    const Cluster cluster = tree(random, trial % 2 == 0);
    const SimulationResult result = Engine(priced.graph, cluster).run(priced.costs);
    const ReferenceSimulation reference(priced.graph, priced.costs, cluster);
    for (std::size_t l = 0; l < cluster.links().size(); ++l) {
      const auto bytes = static_cast<double>(result.links[l].bytes.count);
      EXPECT_NEAR(bytes, reference.moved(l), 1e-6 * (1 + bytes));
      const double most = seconds(result.links[l].busy + Duration(priced.graph.size())) *
                          cluster.links()[l].bandwidth.bytes_per_s;
      EXPECT_LE(bytes, most);
    }
  }
}

TEST(Engine, RunsAgainAsIfItWereTheFirstTime) {
  std::mt19937 random(34);
  const Cluster cluster = tree(random, true);
  PricedGraph priced = random_graph(random, true);
  Engine engine(priced.graph, cluster);
  SimulationResult again;
  for (int trial = 0; trial < 50; ++trial) {
    draw_costs(random, priced);
    engine.run(priced.costs, again);
    const SimulationResult fresh = Engine(priced.graph, cluster).run(priced.costs);
    ASSERT_EQ(again.timeline.start, fresh.timeline.start);
    ASSERT_EQ(again.timeline.finish, fresh.timeline.finish);
    for (std::size_t l = 0; l < fresh.links.size(); ++l) {
      ASSERT_EQ(again.links[l].busy, fresh.links[l].busy);
      ASSERT_EQ(again.links[l].bytes, fresh.links[l].bytes);
    }
  }
}

TEST(Engine, RunsAgainAfterARunThatBrokeOff) {
  PricedBuilder builder(2);
  builder.transfer({0, 1}, 1_MB);
  builder.transfer({0, 1}, 1_MB);
  PricedGraph priced = std::move(builder).build();
  const Cluster cluster = row(2, Bandwidth{1});
  Engine engine(priced.graph, cluster);
  priced.costs.flow = {1_B, 1000_GB};
  EXPECT_THROW(engine.run(priced.costs), Error);
  priced.costs.flow = {1_B, 2_B};  // 1 B/s: half each until 2 s, then all for the other until 3 s
  EXPECT_THAT(engine.run(priced.costs).timeline.finish, ::testing::ElementsAre(2s, 3s));
}

// Two flows have a first and a last byte each; compute that shares nothing needs no clock.
TEST(Engine, CountsFirstAndLastBytesAsEvents) {
  PricedBuilder builder(2);
  const TaskId a = builder.work(0, 1s);
  builder.transfer({0, 1}, 1_MB, {}, {a});
  builder.transfer({1, 0}, 1_MB);
  const PricedGraph priced = std::move(builder).build();
  const Cluster cluster = star(2, 1_GBps);
  Engine engine(priced.graph, cluster);
  engine.run(priced.costs);
  EXPECT_EQ(engine.events(), 4);
}

TEST(Engine, RejectsAGraphOfMoreDevicesThanTheClusterHas) {
  PricedBuilder builder(3);
  const PricedGraph priced = std::move(builder).build();
  const Cluster cluster = star(2, 1_GBps);
  EXPECT_THAT([&] { Engine(priced.graph, cluster); },
              ThrowsMessage<Error>("the task graph uses 3 devices, but cluster 'star' has 2"));
}

}  // namespace
}  // namespace foreplan
