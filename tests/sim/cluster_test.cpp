#include "sim/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

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
