#include "models/activations.hpp"

#include <gtest/gtest.h>

#include "tests/models/gpt.hpp"

namespace foreplan {
namespace {

using Kind = SavedItem::Kind;

struct Sums {
  std::int64_t tensors = 0, probabilities = 0, masks = 0, statistics = 0, selective = 0;
};

Sums sum(const OpGraph& graph, const Block& block, const Sizing& sizing) {
  Sums sums;
  for (const SavedItem& item : saved_items(graph, block.first, block.last, sizing)) {
    const std::int64_t bytes = item.bytes.count;
    if (item.kind == Kind::tensor) sums.tensors += bytes;
    if (item.kind == Kind::probabilities) sums.probabilities += bytes;
    if (item.kind == Kind::mask) sums.masks += bytes;
    if (item.kind == Kind::statistics) sums.statistics += bytes;
    if (recomputed_selectively(graph, item)) sums.selective += bytes;
  }
  return sums;
}

constexpr std::int64_t kB = 2, kS = 2048;
const GptSizes k22B{.layers = 48, .h = 6144, .a = 64, .vocabulary = 51200, .positions = kS};
const Sizing kUnfused{
    .samples = kB, .lengths = {kS}, .dtype = DType::fp16, .fused_attention = false};

// s b h (34 + 5 a s / h) = 34 s b h + 5 a s^2 b; the 5 a s^2 b are what selective recomputation drops.
TEST(SavedItems, EqualKorthikantisFormulaForALayer) {
  const OpGraph gpt = hand_made_gpt(k22B);
  const Sums sums = sum(gpt, gpt.blocks()[1], kUnfused);
  const std::int64_t sbh = kS * kB * k22B.h, ass = k22B.a * kS * kS * kB;
  EXPECT_EQ(sums.tensors + sums.probabilities + sums.masks, 34 * sbh + 5 * ass);
  EXPECT_EQ(sums.selective, 5 * ass);
  // Two norms of s b rows, a mean and a deviation each.
  EXPECT_EQ(sums.statistics, 2 * 2 * 4 * kS * kB);
}

// Fused attention keeps q, k, v and its output, which the projection keeps anyhow, and a logsumexp.
TEST(SavedItems, AreLinearInTheLengthWhenAttentionIsFused) {
  const OpGraph gpt = hand_made_gpt(k22B);
  Sizing fused = kUnfused;
  fused.fused_attention = true;
  const Sums sums = sum(gpt, gpt.blocks()[1], fused);
  EXPECT_EQ(sums.tensors + sums.probabilities + sums.masks, 34 * kS * kB * k22B.h);
  EXPECT_EQ(sums.selective, 0);
  EXPECT_EQ(sums.statistics, 2 * 2 * 4 * kS * kB + 4 * kS * kB * k22B.a);
}

// Embedding: the mask of its dropout. Head: the norm's input 2 s b h, the projection's 2 s b h, and the
// loss's probabilities in fp32, 4 s b v. Korthikanti et al., section 4.3.
TEST(SavedItems, CountTheEndsOfTheNetwork) {
  const OpGraph gpt = hand_made_gpt(k22B);
  const std::int64_t sb = kS * kB;
  EXPECT_EQ(sum(gpt, gpt.blocks()[0], kUnfused).masks, sb * k22B.h);
  const Sums head = sum(gpt, gpt.blocks()[2], kUnfused);
  EXPECT_EQ(head.tensors, 4 * sb * k22B.h);
  EXPECT_EQ(head.probabilities, 4 * sb * k22B.vocabulary);
}

TEST(SavedItems, FullRecomputationKeepsTheInputOfABlock) {
  const OpGraph gpt = hand_made_gpt(k22B);
  EXPECT_EQ(block_input(gpt, gpt.blocks()[1], kUnfused), Bytes{2 * kS * kB * k22B.h});
  EXPECT_EQ(block_input(gpt, gpt.blocks()[0], kUnfused), Bytes{});
}

// conv (8 x 4 x 4 out of 3) -> norm -> relu -> conv: x is a sample, not an activation; the norm keeps the
// first convolution's output, relu its own, which is the second convolution's input and counts once.
TEST(SavedItems, KeepATensorOnceHoweverManyNeedIt) {
  const SpatialShape same{.in_height = 4,
                          .in_width = 4,
                          .kernel_height = 3,
                          .kernel_width = 3,
                          .padding_height = 1,
                          .padding_width = 1};
  const Positions pixels{.fixed = 16};
  const auto id = [](int i) { return LayerId{i}; };
  const auto conv = [&](const char* name, std::int64_t in, std::int64_t out) {
    return Layer{.name = name,
                 .kind = LayerKind::conv2d,
                 .in_features = in,
                 .out_features = out,
                 .bias = false,
                 .positions = pixels,
                 .shape = same};
  };
  OpGraphParts parts{
      .name = "cnn",
      .input_features = 3,
      .input_positions = pixels,
      .layers = {conv("conv1", 3, 8),
                 {.name = "norm",
                  .kind = LayerKind::batch_norm,
                  .in_features = 8,
                  .out_features = 8,
                  .positions = pixels},
                 {.name = "relu",
                  .kind = LayerKind::relu,
                  .in_features = 8,
                  .out_features = 8,
                  .positions = pixels},
                 conv("conv2", 8, 2),
                 {.name = "flat", .kind = LayerKind::flatten, .in_features = 2, .out_features = 32},
                 {.name = "fc", .kind = LayerKind::linear, .in_features = 32, .out_features = 10},
                 {.name = "loss",
                  .kind = LayerKind::softmax_cross_entropy,
                  .in_features = 10,
                  .out_features = 1}},
      .inputs = {{kModelInput}, {id(0)}, {id(1)}, {id(2)}, {id(3)}, {id(4)}, {id(5)}},
      .blocks = {},
      .runs = {}};
  const OpGraph graph{std::move(parts)};
  const auto items = saved_items(graph, id(0), id(6), {.samples = 5});
  std::int64_t tensors = 0;
  for (const SavedItem& item : items) tensors += item.kind == Kind::tensor ? item.bytes.count : 0;
  // conv1's output, relu's output, conv2's output (flattened, fc's input), 5 samples of 4 bytes.
  EXPECT_EQ(tensors, 5 * 4 * (16 * 8 + 16 * 8 + 32));
}

// A linear to 6 features, an activation, a linear: the last keeps the activation's output; relu needs
// nothing more, relu_squared the first linear's output as well. 5 samples of 4 bytes.
TEST(SavedItems, KeepTheInputOfASquaredReluBesideItsOutput) {
  const auto tensors = [](LayerKind activation) {
    OpGraphParts parts{
        .name = "mlp",
        .input_features = 3,
        .input_positions = {},
        .layers = {{.name = "up", .kind = LayerKind::linear, .in_features = 3, .out_features = 6},
                   {.name = "act", .kind = activation, .in_features = 6, .out_features = 6},
                   {.name = "down", .kind = LayerKind::linear, .in_features = 6, .out_features = 2},
                   {.name = "loss",
                    .kind = LayerKind::softmax_cross_entropy,
                    .in_features = 2,
                    .out_features = 1}},
        .inputs = {{kModelInput}, {LayerId{0}}, {LayerId{1}}, {LayerId{2}}},
        .blocks = {},
        .runs = {}};
    const OpGraph graph{std::move(parts)};
    std::int64_t bytes = 0;
    for (const SavedItem& item : saved_items(graph, LayerId{0}, LayerId{3}, {.samples = 5})) {
      if (item.kind == Kind::tensor) bytes += item.bytes.count;
    }
    return bytes;
  };
  EXPECT_EQ(tensors(LayerKind::relu), 5 * 4 * 6);
  EXPECT_EQ(tensors(LayerKind::relu_squared), 5 * 4 * (6 + 6));
}

}  // namespace
}  // namespace foreplan
