#include "sim/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;
using ::testing::UnorderedElementsAre;

using Route = std::vector<std::int32_t>;

TEST(Network, GivesALoneFlowTheLeastCapacityOfItsRoute) {
  Network network({30, 10, 20});
  const Route route = {0, 1, 2};
  const std::int32_t flow = network.add(route);
  EXPECT_EQ(network.rate(flow), 0);
  EXPECT_THAT(network.solve(), ElementsAre(flow));
  EXPECT_EQ(network.rate(flow), 10);
}

TEST(Network, SharesOneLinkEvenly) {
  Network network({12});
  const Route route = {0};
  for (int n = 1; n <= 4; ++n) network.add(route);
  network.solve();
  for (int f = 0; f < 4; ++f) EXPECT_EQ(network.rate(f), 3);
}

// Bertsekas and Gallager's kind of example. Capacities 10, 9, 4. Flow a over 0 and 1; b over 0; c
// over 1 and 2; d over 2. Shares: 10/2 = 5, 9/2 = 4.5, 4/2 = 2. Capacity 2 binds: c = d = 2. Then
// shares 10/2 = 5 and (9 - 2)/1 = 7: capacity 0 binds, a = b = 5.
TEST(Network, FillsProgressively) {
  Network network({10, 9, 4});
  const std::vector<Route> routes = {{0, 1}, {0}, {1, 2}, {2}};
  for (const Route& route : routes) network.add(route);
  network.solve();
  EXPECT_EQ(network.rate(0), 5);
  EXPECT_EQ(network.rate(1), 5);
  EXPECT_EQ(network.rate(2), 2);
  EXPECT_EQ(network.rate(3), 2);
}

TEST(Network, ReportsOnlyFlowsWhoseRateChanged) {
  Network network({10, 6, 8});
  const Route far = {2}, wide = {0}, narrow = {0, 1}, beside = {1};
  const std::int32_t a = network.add(far);
  const std::int32_t b = network.add(wide);
  const std::int32_t c = network.add(narrow);
  network.solve();  // b: 5, c: 5 (half of 10; capacity 1 has 1 to spare)
  EXPECT_THAT(network.solve(), IsEmpty());

  // Capacity 1 gives 3 each to c and d, which leaves 7 for b. a shares nothing with them.
  const std::int32_t d = network.add(beside);
  EXPECT_THAT(network.solve(), UnorderedElementsAre(b, c, d));
  EXPECT_EQ(network.rate(c), 3);
  EXPECT_EQ(network.rate(d), 3);
  EXPECT_EQ(network.rate(b), 7);
  EXPECT_EQ(network.rate(a), 8);

  // Without b nothing changes for c and d: capacity 1 still binds.
  network.remove(b);
  EXPECT_THAT(network.solve(), IsEmpty());
}

TEST(Network, UsesNumbersOfRemovedFlowsAgain) {
  Network network({10});
  const Route route = {0};
  network.add(route);
  const std::int32_t b = network.add(route);
  network.solve();
  network.remove(b);
  EXPECT_EQ(network.add(route), b);
  EXPECT_THAT(network.solve(), ElementsAre(b));  // b anew; the other keeps its 5
  EXPECT_EQ(network.rate(b), 5);
}

// Three flows that links of 5 hold to 5 each. Two fit into 12, three do not: 4 each; and two again.
TEST(Network, ACapacityCountsOnlyWhereItsFlowsOutrunIt) {
  Network network({12, 5, 5, 5});
  const std::vector<Route> routes = {{0, 1}, {0, 2}, {0, 3}};
  const std::int32_t a = network.add(routes[0]);
  const std::int32_t b = network.add(routes[1]);
  EXPECT_THAT(network.solve(), UnorderedElementsAre(a, b));
  EXPECT_EQ(network.rate(a), 5);
  const std::int32_t c = network.add(routes[2]);
  EXPECT_THAT(network.solve(), UnorderedElementsAre(a, b, c));
  EXPECT_EQ(network.rate(c), 4);
  network.remove(a);
  EXPECT_THAT(network.solve(), UnorderedElementsAre(b, c));
  EXPECT_EQ(network.rate(b), 5);
}

TEST(Network, IsAsNewWhenCleared) {
  Network network({12});
  const Route route = {0};
  network.add(route);
  network.add(route);
  network.clear();
  const std::int32_t flow = network.add(route);
  EXPECT_THAT(network.solve(), ElementsAre(flow));
  EXPECT_EQ(network.rate(flow), 12);
}

TEST(Network, RejectsEmptyRoutesAndCapacitiesThatAreNotPositive) {
  EXPECT_THAT(
      [] {
        Network({1, 0});
      },
      ThrowsMessage<Error>("capacity 1: expected more than 0 B/s, got 0"));
  Network network({1});
  EXPECT_THAT([&] { network.add(Route{}); },
              ThrowsMessage<Error>("a flow needs at least one link"));
}

/// Whether no capacity is exceeded and every flow has a capacity that is full and on which no flow
/// is faster: the two conditions that only the max-min fair point meets.
bool is_max_min_fair(const Network& network, const std::vector<double>& capacities,
                     const std::vector<std::pair<std::int32_t, Route>>& flows) {
  std::vector<double> load(capacities.size(), 0), fastest(capacities.size(), 0);
  for (const auto& [flow, route] : flows) {
    for (const std::int32_t c : route) {
      const auto at = static_cast<std::size_t>(c);
      load[at] += network.rate(flow);
      fastest[at] = std::max(fastest[at], network.rate(flow));
    }
  }
  constexpr double kClose = 1 + 1e-9;
  for (std::size_t c = 0; c < load.size(); ++c) {
    if (load[c] > capacities[c] * kClose) return false;
  }
  return std::all_of(flows.begin(), flows.end(), [&](const auto& entry) {
    return std::any_of(entry.second.begin(), entry.second.end(), [&](std::int32_t c) {
      const auto at = static_cast<std::size_t>(c);
      return load[at] * kClose >= capacities[at] &&
             network.rate(entry.first) * kClose >= fastest[at];
    });
  });
}

// The two conditions have one solution (Bertsekas and Gallager, section 6.5.2), so a network that
// meets them after every change is right, however little of it was solved anew.
TEST(Network, StaysMaxMinFairWhileFlowsComeAndGo) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<double> capacities(12);
    for (double& c : capacities) c = 1 + static_cast<double>(random() % 100);
    Network network(capacities);
    std::vector<Route> routes(60);  // stays in place: the network borrows
    std::vector<std::pair<std::int32_t, Route>> flows;
    for (Route& route : routes) {
      std::vector<std::int32_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
      std::shuffle(all.begin(), all.end(), random);
      route.assign(all.begin(), all.begin() + 1 + random() % 3);
      flows.emplace_back(network.add(route), route);
      if (random() % 3 == 0) {
        const std::size_t gone = random() % flows.size();
        network.remove(flows[gone].first);
        flows.erase(flows.begin() + static_cast<std::ptrdiff_t>(gone));
      }
      network.solve();
      ASSERT_TRUE(is_max_min_fair(network, capacities, flows));
    }
  }
}

}  // namespace
}  // namespace foreplan
