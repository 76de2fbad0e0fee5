#include "profiler/op_grid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/op_cost.hpp"
#include "models/operands.hpp"

namespace foreplan {
namespace {

using testing::Contains;
using testing::IsEmpty;
using Shape = std::vector<std::int64_t>;

bool has(const std::vector<OpKey>& keys, const OpKey& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// GPT-3 125M: h = 768, attention in [T, 768, 3 * 768]. Llama 2 70B under tp 8: h = 8192, the MLP's
// first product is [T, 8192, 4 * 8192 / 8].
TEST(ProductGrid, CoversTransformersFrom125MTo70B) {
  const std::vector<OpKey> keys = product_grid(DType::bf16, GridSize::whole);
  for (const Pass pass : {Pass::forward, Pass::backward_input, Pass::backward_weight}) {
    for (const Shape& shape : {Shape{2048, 768, 2304}, Shape{8192, 8192, 4096}}) {
      EXPECT_TRUE(has(keys, {.op = "linear", .pass = pass, .shape = shape, .dtype = DType::bf16}));
    }
  }
}

TEST(ProductGrid, HasEachProductOnce) {
  for (const DType dtype : grid_dtypes()) {
    const std::vector<OpKey> keys = product_grid(dtype, GridSize::whole);
    EXPECT_EQ(std::set(keys.begin(), keys.end()).size(), keys.size());
  }
}

TEST(ProductGrid, IsSmallerWhereOneIsInAHurry) {
  for (const DType dtype : grid_dtypes()) {
    const std::size_t whole = product_grid(dtype, GridSize::whole).size();
    const std::size_t quick = product_grid(dtype, GridSize::quick).size();
    EXPECT_LT(5 * quick, whole);
    EXPECT_LT(product_grid(dtype, GridSize::tiny).size(), quick);
  }
}

// Each op of the grid has a cost and operands, and what holds ids or labels is never of a class alone.
TEST(OtherGrid, HasOpsThatKernelsKnow) {
  std::set<std::string> ops;
  for (const DType dtype : grid_dtypes()) {
    for (const OpKey& key : other_grid(dtype, GridSize::whole)) {
      EXPECT_NO_THROW(make_op(key)) << format(key);
      EXPECT_NO_THROW(operand_bytes(key)) << format(key);
      const auto label = label_operand(key);
      EXPECT_TRUE(!label || label->classes > 1) << format(key);
      ops.insert(key.op);
    }
  }
  for (const char* op : {"layer_norm", "rms_norm", "softmax", "embedding", "relu", "gelu", "add",
                         "accumulate", "copy", "softmax_cross_entropy", "sgd", "adam"}) {
    EXPECT_THAT(ops, Contains(op));
  }
}

TEST(OtherGrid, KnowsTf32InProductsOnly) {
  EXPECT_THAT(other_grid(DType::tf32, GridSize::whole), IsEmpty());
}

}  // namespace
}  // namespace foreplan
