#include "sim/shape_table.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

OpKey product(std::int64_t m, std::int64_t n, Pass pass = Pass::forward) {
  return {.op = "matmul", .pass = pass, .shape = {m, 64, n}, .dtype = DType::bf16};
}

TEST(ShapeTable, TellsWhatWasMeasured) {
  ShapeTable table;
  table.add(product(100, 100), {2e6}, 4us);
  EXPECT_EQ(table.time(product(100, 100), {2e6}), 4us);
}

// 1 us and 3 us for 1e6 FLOPs, at half and at twice of the shape, equally far: 2 us for 1e6, 4 us for 2e6.
TEST(ShapeTable, WeighsNearShapesByTheirDistance) {
  ShapeTable table;
  table.add(product(50, 100), {1e6}, 1us);
  table.add(product(200, 100), {1e6}, 3us);
  EXPECT_EQ(table.time(product(100, 100), {2e6}), 4us);
}

// Twice of the first and a half of the second are equally far; a third at the square root of 2 is twice as near:
// weights 1, 1 and 2 of 1, 3 and 8 us: 20 us / 4.
TEST(ShapeTable, WeighsTheNearerMore) {
  ShapeTable table;
  table.add(product(500'000, 100), {1e6}, 1us);
  table.add(product(2'000'000, 100), {1e6}, 3us);
  table.add(product(1'414'214, 100), {1e6}, 8us);
  const auto time = table.time(product(1'000'000, 100), {1e6});
  ASSERT_TRUE(time.has_value());
  EXPECT_NEAR(seconds(*time), 5e-6, 1e-11);
}

TEST(ShapeTable, TakesTheThreeNearest) {
  ShapeTable table;
  for (const std::int64_t m : {101, 102, 103}) table.add(product(m, 100), {1e6}, 2us);
  table.add(product(190, 100), {1e6}, 50us);
  EXPECT_EQ(table.time(product(100, 100), {1e6}), 2us);
}

TEST(ShapeTable, TellsNothingBeyondTwiceAShape) {
  ShapeTable table;
  table.add(product(100, 100), {1e6}, 1us);
  EXPECT_TRUE(table.time(product(200, 50), {1e6}).has_value());
  EXPECT_FALSE(table.time(product(201, 100), {1e6}).has_value());
  EXPECT_FALSE(table.time(product(100, 100, Pass::backward_input), {1e6}).has_value());
  EXPECT_FALSE(ShapeTable{}.time(product(1, 1), {1e6}).has_value());
}

// What took no time or did nothing has no rate.
TEST(ShapeTable, LeavesOutWhatHasNoRate) {
  ShapeTable table;
  table.add(product(100, 100), {0}, 1us);
  table.add(product(100, 100), {1e6}, 0us);
  EXPECT_FALSE(table.time(product(100, 100), {1e6}).has_value());
}

}  // namespace
}  // namespace foreplan
