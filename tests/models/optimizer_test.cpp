#include "models/optimizer.hpp"

#include <gtest/gtest.h>

#include "models/op_cost.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

TEST(Optimizer, HasTheNameThatNamesIt) {
  EXPECT_EQ(optimizer_named("sgd"), Optimizer::sgd);
  EXPECT_EQ(optimizer_named("adam"), Optimizer::adam);
  EXPECT_EQ(name(Optimizer::adam), "adam");
}

// Traffic of n numbers: gradient, parameter and state read, parameter and state written:
// 1 + 2 (1 + state) times n.
TEST(Optimizer, KeepsAsMuchStateAsItsOpMoves) {
  for (const Optimizer optimizer : {Optimizer::sgd, Optimizer::adam}) {
    const Op op =
        make_op({.op = std::string(name(optimizer)), .pass = Pass::optimizer, .shape = {1000}});
    EXPECT_EQ(op.traffic, (1 + 2 * (1 + state_tensors(optimizer))) * 4_KB);
  }
}

TEST(Optimizer, IsRefusedUnderAnotherName) {
  try {
    optimizer_named("SGD");
    FAIL() << "accepted SGD";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(error.what(), "optimizer: expected sgd or adam, got 'SGD'");
  }
}

}  // namespace
}  // namespace foreplan
