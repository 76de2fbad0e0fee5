#include "planner/rank_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/planner/complaint.hpp"

namespace foreplan {
namespace {

TEST(RankOrder, IsTheUsualOneWhereNothingIsTold) {
  EXPECT_EQ(format(RankOrder{}), "tp-cp-dp-pp");
  EXPECT_EQ(parse_rank_order("tp-cp-dp-pp"), RankOrder{});
}

// No order comes before the usual one, so that it wins ties.
TEST(RankOrder, ReadsAllOrdersThatItWrites) {
  RankOrder order;
  std::set<std::string> texts;
  do {
    EXPECT_EQ(parse_rank_order(format(order)), order);
    EXPECT_LE(RankOrder{}, order);
    texts.insert(format(order));
  } while (std::next_permutation(order.dimensions.begin(), order.dimensions.end()));
  EXPECT_EQ(texts.size(), 24U);
}

TEST(RankOrder, RefusesADimensionThatStandsTwice) {
  RankOrder order;
  order.dimensions[3] = Dimension::tp;
  EXPECT_EQ(complaint([&] { check(order); }),
            "strategy: order: expected each of tp, cp, dp and pp once, joined by '-'; "
            "'tp-cp-dp-tp' has tp 2 times");
}

}  // namespace
}  // namespace foreplan
