#include "planner/unit_totals.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

UnitCost cost(std::int64_t forward, std::int64_t input, std::int64_t weight) {
  return {.forward = Duration{forward},
          .backward_input = Duration{input},
          .backward_weight = Duration{weight}};
}

UnitChain chain() {
  return {.classes = {{.range = {}, .role = BlockRole::embedding},
                      {.range = {}, .role = BlockRole::layer}},
          .units = {0, 1, 1, 1},
          .cuts = {true, true, true},
          .first_layer = 1,
          .layers = 3};
}

// 4 + 3 * 10 forward, 0 + 3 * 20 for inputs, and with 3 + 3 * 5 for weights 112 in all.
TEST(UnitTotals, AddUpAllUnits) {
  const std::vector<std::vector<UnitCost>> costs{{cost(4, 0, 3), cost(10, 20, 5)}};
  const UnitTotals totals = unit_totals(chain(), costs);
  EXPECT_EQ(totals.forward, 34);
  EXPECT_EQ(totals.input, 60);
  EXPECT_EQ(totals.whole, 112);
  EXPECT_EQ(totals.least_layer, 35);
  EXPECT_EQ(totals.paces, (std::vector<double>{1}));
}

// The second kind is slower forward and faster backward: a layer takes at least 10 + 14 + 5. Its embedding takes
// twice as long, its layers 35 as well: it is no slower than the first kind at least.
TEST(UnitTotals, TakeOfEveryPassTheFasterKind) {
  const std::vector<std::vector<UnitCost>> costs{{cost(4, 0, 3), cost(10, 20, 5)},
                                                 {cost(8, 0, 6), cost(16, 14, 5)}};
  const UnitTotals totals = unit_totals(chain(), costs);
  EXPECT_EQ(totals.forward, 4 + 3 * 10);
  EXPECT_EQ(totals.input, 3 * 14);
  EXPECT_EQ(totals.whole, 112);
  EXPECT_EQ(totals.least_layer, 10 + 14 + 5);
  EXPECT_EQ(totals.paces, (std::vector<double>{1, 1}));
}

// Exchanges and recomputation count: 10 + 2 forward, 20 + 3 + 1 for inputs.
TEST(UnitTotals, CountWhatNoComputeHides) {
  UnitCost layer = cost(10, 20, 5);
  layer.forward_exchange = Duration{2};
  layer.backward_exchange = Duration{3};
  layer.recompute = Duration{1};
  const UnitTotals totals =
      unit_totals(chain(), std::vector<std::vector<UnitCost>>{{cost(0, 0, 0), layer}});
  EXPECT_EQ(totals.forward, 3 * 12);
  EXPECT_EQ(totals.input, 3 * 24);
  EXPECT_EQ(totals.least_layer, 41);
}

}  // namespace
}  // namespace foreplan
