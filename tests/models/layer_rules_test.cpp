#include "models/layer_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Attention mixes rows, a linear layer widths, an addition neither.
TEST(LayerRules, TellWhatAKindKeeps) {
  EXPECT_FALSE(keeps_rows(LayerKind::attention));
  EXPECT_TRUE(keeps_rows(LayerKind::linear));
  EXPECT_FALSE(keeps_width(LayerKind::linear));
  EXPECT_TRUE(keeps_rows(LayerKind::add) && keeps_width(LayerKind::add));
}

// A window, rows of a bias and shared features may be 0: they count one more.
TEST(LayerRules, CountWhatAShapeHas) {
  EXPECT_THAT(
      counts_of(AttentionShape{.heads = 4, .kv_heads = 2, .qk_features = 8, .v_features = 6}),
      ElementsAre(4, 2, 8, 6, 1, 1, 1));
  EXPECT_THAT(counts_of(ExpertShape{.experts = 8, .top_k = 2}), ElementsAre(8, 2));
  EXPECT_THAT(counts_of(std::monostate{}), IsEmpty());
}

}  // namespace
}  // namespace foreplan
