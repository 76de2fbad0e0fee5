#include "sim/op.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

TEST(Pass, NamesAreReadBack) {
  for (const Pass pass :
       {Pass::forward, Pass::backward_input, Pass::backward_weight, Pass::optimizer}) {
    EXPECT_EQ(pass_named(name(pass)), pass);
  }
  EXPECT_EQ(name(Pass::backward_weight), "backward_weight");
  EXPECT_EQ(pass_named("backward"), std::nullopt);
  EXPECT_EQ(pass_named(""), std::nullopt);
}

TEST(DType, NamesAreReadBack) {
  for (const DType dtype : {DType::fp32, DType::tf32, DType::fp16, DType::bf16, DType::fp8}) {
    EXPECT_EQ(dtype_named(name(dtype)), dtype);
  }
  EXPECT_EQ(name(DType::bf16), "bf16");
  EXPECT_EQ(dtype_named("FP32"), std::nullopt);
}

// tf32 is a way to multiply; in memory it takes the 32 bits of fp32.
TEST(DType, ElementsHaveTheSizeOfTheirBits) {
  EXPECT_EQ(element_size(DType::fp32), 4_B);
  EXPECT_EQ(element_size(DType::tf32), 4_B);
  EXPECT_EQ(element_size(DType::fp16), 2_B);
  EXPECT_EQ(element_size(DType::bf16), 2_B);
  EXPECT_EQ(element_size(DType::fp8), 1_B);
}

TEST(OpKey, FormatsForPeople) {
  OpKey key{.op = "linear", .pass = Pass::backward_weight, .shape = {128, 784, 10}};
  EXPECT_EQ(format(key), "linear.backward_weight[128x784x10] fp32");
  key.accumulate = true;
  key.dtype = DType::bf16;
  EXPECT_EQ(format(key), "linear.backward_weight[128x784x10] bf16 +=");
}

TEST(OpKey, DiffersInEveryField) {
  const OpKey key{.op = "relu", .shape = {8}};
  OpKey other = key;
  EXPECT_EQ(key, other);
  other.accumulate = true;
  EXPECT_NE(key, other);
  other = key;
  other.shape = {8, 1};
  EXPECT_NE(key, other);
  other = key;
  other.pass = Pass::backward_input;
  EXPECT_NE(key, other);
}

}  // namespace
}  // namespace foreplan
