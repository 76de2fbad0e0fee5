#include "sim/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "sim/error.hpp"
#include "tests/sim/graphs.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

Vertex device(std::string id) { return {std::move(id), VertexKind::device, 0}; }
Vertex hub(std::string id) { return {std::move(id), VertexKind::network_switch}; }

Cluster::LinkSpec link(int a, int b, Duration latency = {}, Bandwidth bandwidth = 1_GBps) {
  return {VertexId{a}, VertexId{b}, bandwidth, latency};
}

Cluster cluster(std::vector<Vertex> vertices, std::vector<Cluster::LinkSpec> links) {
  return {"test", {plain_device()}, std::move(vertices), std::move(links)};
}

TEST(Cluster, CountsDevicesInTheOrderOfTheirVertices) {
  const Cluster c = cluster({hub("s"), device("x"), hub("t"), device("y")}, {link(0, 1)});
  EXPECT_EQ(c.devices(), 2);
  EXPECT_EQ(c.vertex_of(DeviceId{0}), VertexId{1});
  EXPECT_EQ(c.vertex_of(DeviceId{1}), VertexId{3});
  EXPECT_EQ(c.device(DeviceId{1}).name, "plain");
}

TEST(Cluster, GivesEachDirectionOfADuplexLinkItsOwnCapacity) {
  const Cluster c = star(2, 5_GBps, 3us);
  ASSERT_EQ(c.links().size(), 4U);
  EXPECT_EQ(c.capacities(), 4);
  EXPECT_EQ(c.links()[2].from, VertexId{1});
  EXPECT_EQ(c.links()[2].to, VertexId{2});
  EXPECT_EQ(c.links()[3].from, VertexId{2});
  EXPECT_EQ(c.links()[3].to, VertexId{1});
  EXPECT_EQ(c.links()[3].bandwidth, 5_GBps);
  EXPECT_EQ(c.links()[3].latency, 3us);
  EXPECT_NE(c.capacity_of(LinkId{2}), c.capacity_of(LinkId{3}));
}

TEST(Cluster, GivesBothDirectionsOfAHalfDuplexLinkOneCapacity) {
  const Cluster c = row(3, 1_GBps, 0us, false);
  EXPECT_EQ(c.links().size(), 4U);
  EXPECT_EQ(c.capacities(), 2);
  EXPECT_EQ(c.capacity_of(LinkId{0}), c.capacity_of(LinkId{1}));
  EXPECT_NE(c.capacity_of(LinkId{1}), c.capacity_of(LinkId{2}));
}

TEST(Route, IsEmptyWithinADevice) {
  EXPECT_THAT(star(2, 1_GBps).route(DeviceId{1}, DeviceId{1}), IsEmpty());
}

TEST(Route, GoesUpAndDownAStar) {
  EXPECT_THAT(star(3, 1_GBps).route(DeviceId{2}, DeviceId{0}), ElementsAre(LinkId{4}, LinkId{1}));
}

TEST(Route, TakesFewestHopsEvenIfTheyAreSlower) {
  // Straight: 1 hop of 1 s. Through the switch: 2 hops of 1 ns.
  const Cluster c = cluster({device("x"), device("y"), hub("s")},
                            {link(0, 2, 1ns), link(2, 1, 1ns), link(0, 1, 1s)});
  EXPECT_THAT(c.route(DeviceId{0}, DeviceId{1}), ElementsAre(LinkId{4}));
}

TEST(Route, TakesLeastLatencyAmongFewestHops) {
  // Through s: 1 + 5 us. Through t: 3 + 2 us, though its first hop is the slower one.
  const Cluster c = cluster({device("x"), device("y"), hub("s"), hub("t")},
                            {link(0, 2, 1us), link(2, 1, 5us), link(0, 3, 3us), link(3, 1, 2us)});
  EXPECT_THAT(c.route(DeviceId{0}, DeviceId{1}), ElementsAre(LinkId{4}, LinkId{6}));
  EXPECT_THAT(c.route(DeviceId{1}, DeviceId{0}), ElementsAre(LinkId{7}, LinkId{5}));
}

TEST(Route, TakesLowestLinksFromTheSourceAmongEquals) {
  // Two equal ways from x to y: by links 0 and 6, or by links 2 and 4. From y back: 5 and 3, or 7
  // and 1.
  const Cluster c = cluster({device("x"), device("y"), hub("s"), hub("t")},
                            {link(0, 2), link(0, 3), link(3, 1), link(2, 1)});
  EXPECT_THAT(c.route(DeviceId{0}, DeviceId{1}), ElementsAre(LinkId{0}, LinkId{6}));
  EXPECT_THAT(c.route(DeviceId{1}, DeviceId{0}), ElementsAre(LinkId{5}, LinkId{3}));
}

TEST(Route, TakesTheLowerOfParallelLinks) {
  const Cluster c =
      cluster({device("x"), device("y")}, {link(0, 1, 2us), link(0, 1, 1us), link(0, 1, 1us)});
  EXPECT_THAT(c.route(DeviceId{0}, DeviceId{1}), ElementsAre(LinkId{2}));
}

TEST(Route, SaysWhichDevicesNoWayJoins) {
  const Cluster c = cluster({device("x"), device("y"), device("z")}, {link(0, 1)});
  EXPECT_THAT([&] { c.route(DeviceId{0}, DeviceId{2}); },
              ThrowsMessage<Error>(
                  "cluster 'test': there is no way from device 0 ('x') to device 2 ('z')"));
  EXPECT_THAT([&] { c.route(DeviceId{0}, DeviceId{3}); },
              ThrowsMessage<Error>("cluster 'test' has 3 devices; there is no device 3"));
}

TEST(Route, AvoidsWhatDoesNotForward) {
  // x and y are joined over z, which does not forward, and over s and t, which do. z itself is
  // reached all the same.
  Vertex z = device("z");
  z.forwards = false;
  const Cluster c = cluster({device("x"), device("y"), z, hub("s"), hub("t")},
                            {link(0, 2), link(2, 1), link(0, 3), link(3, 4), link(4, 1)});
  EXPECT_THAT(c.route(DeviceId{0}, DeviceId{1}), ElementsAre(LinkId{4}, LinkId{6}, LinkId{8}));
  EXPECT_THAT(c.route(DeviceId{0}, DeviceId{2}), ElementsAre(LinkId{0}));
  EXPECT_THAT(c.route(DeviceId{2}, DeviceId{1}), ElementsAre(LinkId{2}));
}

/// Every way of fewest hops from `at` to `target`, as links; for small clusters.
void collect_ways(const Cluster& c, VertexId at, VertexId target, std::size_t hops,
                  std::vector<LinkId>& way, std::vector<std::vector<LinkId>>& ways) {
  if (at == target) ways.push_back(way);
  if (at == target || way.size() == hops) return;
  if (!way.empty() && !c.vertices()[index(at)].forwards) return;
  for (std::size_t i = 0; i < c.links().size(); ++i) {
    if (c.links()[i].from != at) continue;
    way.push_back(LinkId(i));
    collect_ways(c, c.links()[i].to, target, hops, way, ways);
    way.pop_back();
  }
}

/// The rule of Cluster::route, word by word.
std::vector<LinkId> route_by_rule(const Cluster& c, DeviceId source, DeviceId destination) {
  std::vector<std::vector<LinkId>> ways;
  for (std::size_t hops = 1; ways.empty() && hops < c.vertices().size(); ++hops) {
    std::vector<LinkId> way;
    collect_ways(c, c.vertex_of(source), c.vertex_of(destination), hops, way, ways);
  }
  const auto latency = [&](const std::vector<LinkId>& way) {
    Duration sum{};
    for (const LinkId id : way) sum += c.links()[index(id)].latency;
    return sum;
  };
  return ways.empty() ? std::vector<LinkId>{}
                      : *std::min_element(ways.begin(), ways.end(), [&](auto& a, auto& b) {
                          return std::pair(latency(a), a) < std::pair(latency(b), b);
                        });
}

// 100 clusters of 7 vertices, each pair joined by none, one or two links, a third of the vertices not
// forwarding.
TEST(Route, IsTheOneThatTheRuleNamesOnRandomClusters) {
  std::mt19937 random(7);
  for (int round = 0; round < 100; ++round) {
    std::vector<Vertex> vertices;
    std::vector<Cluster::LinkSpec> links;
    for (int v = 0; v < 7; ++v) {
      vertices.push_back(device(std::string("d") + std::to_string(v)));
      vertices.back().forwards = random() % 3 != 0;
      for (int w = 0; w < v; ++w) {
        for (std::uint32_t n = random() % 6; n > 3; --n) {
          links.push_back(link(w, v, Duration(random() % 3)));
        }
      }
    }
    const Cluster c = cluster(vertices, links);
    for (int a = 0; a < 7; ++a) {
      for (int b = 0; b < 7; ++b) {
        const auto expected =
            a == b ? std::vector<LinkId>{} : route_by_rule(c, DeviceId{a}, DeviceId{b});
        if (a != b && expected.empty()) {
          EXPECT_THROW(c.route(DeviceId{a}, DeviceId{b}), Error);
        } else {
          EXPECT_EQ(c.route(DeviceId{a}, DeviceId{b}), expected) << round << ": " << a << " " << b;
        }
      }
    }
  }
}

TEST(Cluster, IsOneNodeUnlessItsDevicesSayOtherwise) {
  EXPECT_EQ(star(3, 1_GBps).nodes(), 1);
  Vertex far = device("y");
  far.node = 1;
  const Cluster c = cluster({device("x"), far}, {link(0, 1)});
  EXPECT_EQ(c.nodes(), 2);
  EXPECT_EQ(c.node_of(DeviceId{1}), 1);
  far.node = -1;
  EXPECT_THAT([&] { cluster({far}, {}); }, ThrowsMessage<Error>("device 'y' sits in node -1"));
}

TEST(Route, SurvivesACopyOfTheCluster) {
  const auto copy = std::make_unique<Cluster>(star(2, 1_GBps));
  const Cluster c = *copy;
  EXPECT_EQ(c.route(DeviceId{0}, DeviceId{1}), copy->route(DeviceId{0}, DeviceId{1}));
}

TEST(Cluster, RejectsWhatCannotBe) {
  EXPECT_THAT([] { cluster({hub("s")}, {}); },
              ThrowsMessage<Error>("cluster 'test' has no device"));
  EXPECT_THAT([] { cluster({device("x")}, {link(0, 1)}); },
              ThrowsMessage<Error>("link 0: there is no vertex 1"));
  EXPECT_THAT(
      [] {
        cluster({device("x"), device("y")}, {link(0, 1, 0s, Bandwidth{0})});
      },
      ThrowsMessage<Error>("link 0: expected a bandwidth above 0 B/s, got 0"));
  const Bandwidth endless{std::numeric_limits<double>::infinity()};
  EXPECT_THROW(cluster({device("x"), device("y")}, {link(0, 1, 0s, endless)}), Error);
  EXPECT_THAT(
      [] {
        cluster({device("x"), device("y")}, {link(0, 1, -1us)});
      },
      ThrowsMessage<Error>(HasSubstr("latency of at least 0 s, got -1 us")));
  EXPECT_THAT(
      [] {
        cluster({{"x", VertexKind::device, 1}}, {});
      },
      ThrowsMessage<Error>("device 'x' has no specification"));
}

}  // namespace
}  // namespace foreplan
