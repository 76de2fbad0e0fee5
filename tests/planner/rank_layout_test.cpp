#include "planner/rank_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace foreplan {
namespace {

using ::testing::ElementsAre;

Strategy ordered(Strategy strategy, const char* order) {
  strategy.order = parse_rank_order(order);
  return strategy;
}

std::vector<int> devices(const RankGroup& group) {
  std::vector<int> found;
  for (int i = 0; i < group.size; ++i) found.push_back(group.device(i));
  return found;
}

// t + tp (c + cp (d + dp s)) with tp = 2, cp = 3, dp = 4: 1 + 2 (2 + 3 (3 + 4 * 1)) = 47.
TEST(RankLayout, CountsTensorRanksFirstInTheUsualOrder) {
  const RankLayout layout({.dp = 4, .tp = 2, .pp = 2, .cp = 3});
  EXPECT_EQ(layout.device({.tp = 1, .cp = 2, .dp = 3, .pp = 1}), DeviceId{47});
  EXPECT_EQ(layout.devices(), 48);
}

// s + pp (d + dp (t + tp c)): 1 + 2 (3 + 4 (1 + 2 * 2)) = 47, and without the stage 46.
TEST(RankLayout, CountsInTheOrderThatIsTold) {
  const RankLayout layout(ordered({.dp = 4, .tp = 2, .pp = 2, .cp = 3}, "pp-dp-tp-cp"));
  EXPECT_EQ(layout.device({.tp = 1, .cp = 2, .dp = 3, .pp = 1}), DeviceId{47});
  EXPECT_EQ(layout.device({.tp = 1, .cp = 2, .dp = 3, .pp = 0}), DeviceId{46});
  EXPECT_EQ(layout.stride(Dimension::tp), 8);
}

TEST(RankLayout, GivesEveryRankADeviceOfItsOwn) {
  Strategy strategy{.dp = 3, .tp = 2, .pp = 4, .cp = 5};
  do {
    const RankLayout layout(strategy);
    std::set<DeviceId> seen;
    for (int s = 0; s < 4; ++s) {
      for (int d = 0; d < 3; ++d) {
        for (int c = 0; c < 5; ++c) {
          for (int t = 0; t < 2; ++t) seen.insert(layout.device({t, c, d, s}));
        }
      }
    }
    EXPECT_EQ(seen.size(), 120U);
    EXPECT_EQ(*seen.begin(), DeviceId{0});
    EXPECT_EQ(*seen.rbegin(), DeviceId{119});
  } while (
      std::next_permutation(strategy.order.dimensions.begin(), strategy.order.dimensions.end()));
}

// cp = 2 lies inside, dp = 2 behind tp = 2: the ranks of one parameter are 0, 1, 4, 5.
TEST(RankLayout, SpansDataOverContextAndReplicas) {
  const RankLayout layout(ordered({.dp = 2, .tp = 2, .cp = 2}, "cp-tp-dp-pp"));
  EXPECT_THAT(devices(layout.tensor()), ElementsAre(0, 2));
  EXPECT_THAT(devices(layout.data()), ElementsAre(0, 1, 4, 5));
}

// ep = 2 of the four ranks above: 0 and 1 share experts, 0 and 4 hold the same. ep = 8 goes over all of tp, cp
// and dp.
TEST(RankLayout, DealsExpertsToNeighboursAmongThem) {
  Strategy strategy = ordered({.dp = 2, .tp = 2, .cp = 2, .ep = 2}, "cp-tp-dp-pp");
  EXPECT_THAT(devices(RankLayout(strategy).expert()), ElementsAre(0, 1));
  EXPECT_THAT(devices(RankLayout(strategy).expert_data()), ElementsAre(0, 4));
  strategy.ep = 8;
  EXPECT_THAT(devices(RankLayout(strategy).expert()), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(devices(RankLayout(strategy).expert_data()), ElementsAre(0));
}

TEST(RankGroup, CountsItsRanksOnANode) {
  const RankLayout layout(ordered({.dp = 8, .tp = 2, .cp = 2}, "cp-tp-dp-pp"));
  EXPECT_EQ(layout.tensor().on_node(8), 2);
  EXPECT_EQ(layout.tensor().on_node(2), 1);  // 0 and 2
  EXPECT_EQ(layout.data().on_node(8), 4);    // 0, 1, 4, 5
  EXPECT_EQ(layout.data().on_node(4), 2);
  EXPECT_EQ(layout.data().on_node(32), 16);
  EXPECT_EQ(layout.data().on_node(6), 1);  // not evenly
}

/// Whether every two ranks of a and b that belong together share a node.
bool share_nodes(const RankLayout& layout, int a, int b, int node) {
  for (int d = 0; d < layout.size(Dimension::dp); ++d) {
    for (int t = 0; t < layout.size(Dimension::tp); ++t) {
      const int from = static_cast<int>(layout.device({.tp = t, .dp = d, .pp = a}));
      const int to = static_cast<int>(layout.device({.tp = t, .dp = d, .pp = b}));
      if (from / node != to / node) return false;
    }
  }
  return true;
}

// Where pipelines lie unevenly, as many are looked at as there may be, so that stages may be called apart that
// are not; never the other way.
TEST(RankPlaces, TellWhichStagesShareANode) {
  for (const int node : {2, 3, 4, 8}) {
    for (const auto& [tp, dp, pp] :
         std::vector<std::array<int, 3>>{{2, 2, 2}, {1, 4, 4}, {4, 1, 4}, {2, 3, 3}, {1, 8, 6}}) {
      Strategy strategy{.dp = dp, .tp = tp, .pp = pp};
      do {
        const RankLayout layout(strategy);
        const RankPlaces places = places_of(layout, node);
        for (int a = 0; a < pp; ++a) {
          for (int b = 0; b < pp; ++b) {
            if (a == b) continue;
            const bool exact = share_nodes(layout, a, b, node);
            if (places.pipeline_stride == 0) {
              EXPECT_EQ(places.together(a, b, node), exact)
                  << format(strategy) << ' ' << a << ' ' << b << " nodes of " << node;
            } else {
              EXPECT_LE(places.together(a, b, node), exact);
            }
          }
        }
      } while (std::next_permutation(strategy.order.dimensions.begin(),
                                     strategy.order.dimensions.end()));
    }
  }
}

// Every group has as many ranks on each node that it lies on as the first has there, where it is even.
TEST(RankPlaces, CountEveryGroup) {
  constexpr int kNode = 8;
  Strategy strategy{.dp = 4, .tp = 2, .pp = 2, .cp = 4};
  do {
    const RankLayout layout(strategy);
    const RankPlaces places = places_of(layout, kNode);
    for (int s = 0; s < 2; ++s) {
      for (int t = 0; t < 2; ++t) {
        std::map<int, int> ranks;
        for (int d = 0; d < 4; ++d) {
          for (int c = 0; c < 4; ++c) {
            ++ranks[static_cast<int>(layout.device({.tp = t, .cp = c, .dp = d, .pp = s})) / kNode];
          }
        }
        for (const auto& [node, count] : ranks) EXPECT_EQ(count, places.data) << format(strategy);
      }
    }
  } while (
      std::next_permutation(strategy.order.dimensions.begin(), strategy.order.dimensions.end()));
}

}  // namespace
}  // namespace foreplan
