#include "planner/branch_placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/properties/dice.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

struct Drawn {
  Stretch stretch;
  StretchCost cost;
};

/// Layers that read some before them or what enters; the last reads all that nobody else does.
Drawn draw(Dice& dice, std::int32_t layers) {
  Drawn drawn;
  std::vector<bool> read(static_cast<std::size_t>(layers), false);
  const auto reads = [&](std::vector<std::int32_t>& inputs, std::int32_t input) {
    if (std::find(inputs.begin(), inputs.end(), input) != inputs.end()) return;
    inputs.push_back(input);
    if (input >= 0) read[static_cast<std::size_t>(input)] = true;
  };
  for (std::int32_t i = 0; i + 1 < layers; ++i) {
    std::vector<std::int32_t>& inputs = drawn.stretch.inputs.emplace_back();
    for (std::int64_t k = 1 + dice.below(2); k > 0; --k) {
      reads(inputs, static_cast<std::int32_t>(dice.below(i + 1)) - 1);
    }
  }
  std::vector<std::int32_t> last;
  for (std::int32_t i = 0; i + 1 < layers; ++i) {
    if (!read[static_cast<std::size_t>(i)]) last.push_back(i);
  }
  drawn.stretch.inputs.push_back(last);
  const std::int64_t longest_copy = dice.one_of({1, 10, 100});
  for (std::int32_t i = 0; i < layers; ++i) {
    drawn.cost.forward.emplace_back(dice.below(50));
    drawn.cost.backward.emplace_back(dice.below(100));
    drawn.cost.copy.emplace_back(dice.below(longest_copy));
  }
  drawn.cost.enters = Duration(dice.below(longest_copy));
  return drawn;
}

/// The least of all placements, told one by one as numbers to the base of `devices`.
Duration least_of_all(const Drawn& drawn, int devices) {
  BranchSchedule schedule(drawn.stretch, drawn.cost, devices);
  const auto layers = static_cast<std::size_t>(drawn.stretch.size());
  std::int64_t count = 1;
  for (std::size_t i = 0; i + 1 < layers; ++i) count *= devices;
  Duration least = Duration::max();
  for (std::int64_t number = 0; number < count; ++number) {
    BranchPlacement placement(layers, 0);
    std::int64_t rest = number;
    for (std::size_t i = 0; i + 1 < layers; ++i, rest /= devices) {
      placement[i] = static_cast<std::int32_t>(rest % devices);
    }
    least = std::min(least, schedule.time(placement));
  }
  return least;
}

Duration sum_of(const StretchCost& cost) {
  return std::accumulate(cost.forward.begin(), cost.forward.end(), Duration{}) +
         std::accumulate(cost.backward.begin(), cost.backward.end(), Duration{});
}

TEST(PlaceStretch, IsTheFastestOfAllWhereThereAreFew) {
  Dice dice(1);
  int faster = 0;
  for (int i = 0; i < 300; ++i) {
    const Drawn drawn = draw(dice, static_cast<std::int32_t>(2 + dice.below(5)));
    const int devices = dice.one_of({2, 3});
    const PlacedStretch placed = place_stretch(drawn.stretch, drawn.cost, devices);
    EXPECT_TRUE(placed.proven);
    EXPECT_EQ(placed.time, least_of_all(drawn, devices)) << "draw " << i;
    EXPECT_EQ(placed.time,
              BranchSchedule(drawn.stretch, drawn.cost, devices).time(placed.placement));
    faster += placed.time < sum_of(drawn.cost) ? 1 : 0;
  }
  // Draws that gain and draws that do not.
  EXPECT_GT(faster, 60);
  EXPECT_LT(faster, 240);
}

// With more devices than one, or with more layers than can be tried one by one.
TEST(PlaceStretch, IsNeverSlowerThanOneDeviceNorFasterThanTheBound) {
  Dice dice(2);
  int faster = 0;
  for (int i = 0; i < 300; ++i) {
    const Drawn drawn = draw(dice, static_cast<std::int32_t>(2 + dice.below(40)));
    const int devices = dice.one_of({2, 3, 6});
    const PlacedStretch placed = place_stretch(drawn.stretch, drawn.cost, devices);
    EXPECT_LE(placed.time, sum_of(drawn.cost)) << "draw " << i;
    EXPECT_GE(placed.time, least_time(drawn.stretch, drawn.cost, devices)) << "draw " << i;
    EXPECT_EQ(placed.placement.back(), 0);
    faster += placed.time < sum_of(drawn.cost) ? 1 : 0;
  }
  EXPECT_GT(faster, 100);
}

// Any placement, not only the chosen one: longest path and work over devices hold for all of them.
TEST(LeastTime, IsBelowEveryPlacement) {
  Dice dice(3);
  for (int i = 0; i < 1000; ++i) {
    const Drawn drawn = draw(dice, static_cast<std::int32_t>(1 + dice.below(12)));
    const int devices = dice.one_of({1, 2, 3, 6});
    BranchPlacement placement;
    for (std::int32_t k = 0; k < drawn.stretch.size(); ++k) {
      placement.push_back(static_cast<std::int32_t>(dice.below(devices)));
    }
    placement.back() = 0;
    BranchSchedule schedule(drawn.stretch, drawn.cost, devices);
    EXPECT_LE(least_time(drawn.stretch, drawn.cost, devices), schedule.time(placement));
    EXPECT_LE(schedule.time_without_copies(placement), schedule.time(placement));
  }
}

// Two branches of 10 and 5 before a layer of 1: the path 11, the work 16 over two devices is 8. Backward 22
// and 32 over two, 16.
TEST(LeastTime, IsTheLongestPathOrTheWorkOverTheDevices) {
  const Stretch stretch{.first = 0, .inputs = {{-1}, {-1}, {0, 1}}, .width = 2};
  const auto ticks = [](std::int64_t a, std::int64_t b, std::int64_t c) {
    return std::vector<Duration>{Duration(a), Duration(b), Duration(c)};
  };
  const StretchCost cost{.forward = ticks(10, 5, 1), .backward = ticks(20, 10, 2), .copy = {}};
  EXPECT_EQ(least_time(stretch, cost, 2), Duration(11 + 22));
  EXPECT_EQ(least_time(stretch, cost, 1), Duration(16 + 32));
}

TEST(PlaceStretch, TriesWholeBranchesWhereThereAreTooManyLayers) {
  // Four chains of seven layers, 10 each, and a last one: four devices, no copies: a chain each.
  Stretch stretch{.first = 0, .inputs = {}, .width = 4};
  StretchCost cost;
  std::vector<std::int32_t> ends;
  for (std::int32_t chain = 0; chain < 4; ++chain) {
    for (std::int32_t i = 0; i < 7; ++i) {
      stretch.inputs.push_back({i == 0 ? -1 : stretch.size() - 1});
    }
    ends.push_back(stretch.size() - 1);
  }
  stretch.inputs.push_back(ends);
  cost.forward.assign(29, Duration(10));
  cost.backward.assign(29, Duration(20));
  cost.copy.assign(29, Duration(0));
  const PlacedStretch placed = place_stretch(stretch, cost, 4);
  EXPECT_FALSE(placed.proven);
  EXPECT_EQ(placed.time, Duration(80 + 160));
  EXPECT_EQ(placed.time, least_time(stretch, cost, 4));
}

}  // namespace
}  // namespace foreplan
