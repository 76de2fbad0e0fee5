#include "planner/divisors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Divisors, AscendUpToTheMost) {
  EXPECT_THAT(divisors(12, 12), ElementsAre(1, 2, 3, 4, 6, 12));
  EXPECT_THAT(divisors(12, 4), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(divisors(36, 36), ElementsAre(1, 2, 3, 4, 6, 9, 12, 18, 36));
  EXPECT_THAT(divisors(7, 100), ElementsAre(1, 7));
  EXPECT_THAT(divisors(7, 0), IsEmpty());
}

// 12,288 = 3 x 4096: into 12,288 or 6,144 micro-batches is too many, into 4,096 is not.
TEST(MicroBatchSizes, DivideTheShareIntoNotTooMany) {
  EXPECT_THAT(micro_batch_sizes(12), ElementsAre(1, 2, 3, 4, 6, 12));
  EXPECT_EQ(micro_batch_sizes(12288).front(), 3);
  EXPECT_EQ(micro_batch_sizes(12288).back(), 12288);
}

}  // namespace
}  // namespace foreplan
