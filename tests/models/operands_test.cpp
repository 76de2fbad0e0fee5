#include "models/operands.hpp"

#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

// [m, k, n] = [2, 3, 5] in fp16: x has 6 numbers, W 15, b 5, y 10, of 2 bytes each.
TEST(OperandBytes, AreElementsOfTheFormat) {
  const OperandBytes operands =
      operand_bytes({.op = "linear", .shape = {2, 3, 5}, .dtype = DType::fp16});
  EXPECT_EQ(operands.reads, (std::vector{12_B, 30_B, 10_B}));
  EXPECT_EQ(operands.writes, (std::vector{20_B}));
}

// The state of an optimizer is 4 bytes a number whatever the format.
TEST(OperandBytes, AreFourForStateAndLabels) {
  EXPECT_EQ(
      operand_bytes({.op = "adam", .pass = Pass::optimizer, .shape = {8}, .dtype = DType::bf16})
          .writes,
      (std::vector{16_B, 32_B, 32_B}));
}

TEST(OperandBytes, RefuseWhatHasNoKernel) {
  EXPECT_THROW(operand_bytes({.op = "linear", .pass = Pass::optimizer, .shape = {2, 3, 5}}), Error);
  EXPECT_THROW(operand_bytes({.op = "linear", .shape = {2, 3}}), Error);
}

TEST(LabelOperand, IsKnownOfTheTwoOpsThatHaveOne) {
  const auto ids = label_operand({.op = "embedding", .shape = {4, 100, 8}});
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->read, 0U);
  EXPECT_EQ(ids->classes, 100);
  const auto labels = label_operand({.op = "softmax_cross_entropy", .shape = {4, 10}});
  ASSERT_TRUE(labels);
  EXPECT_EQ(labels->read, 1U);
  EXPECT_EQ(labels->classes, 10);
  EXPECT_FALSE(label_operand({.op = "linear", .shape = {2, 3, 5}}));
}

}  // namespace
}  // namespace foreplan
