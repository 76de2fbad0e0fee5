#include "models/transformer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/layer_ops.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Norm = TransformerShape::Norm;
using NormPlace = TransformerShape::NormPlace;
using Residual = TransformerShape::Residual;

/// GPT-2 of width 8, 2 heads, 10 words, 4 positions.
TransformerShape small(std::size_t layers = 3) {
  TransformerShape shape;
  shape.name = "small";
  shape.hidden = 8;
  shape.vocabulary = 10;
  shape.learned_positions = 4;
  shape.attention = {.heads = 2, .kv_heads = 2, .qk_features = 4, .v_features = 4};
  shape.layers.assign(layers, {.mlp_features = 32});
  return shape;
}

std::vector<std::string> layer_names(const OpGraph& graph) {
  std::vector<std::string> names;
  for (const Layer& layer : graph.layers()) names.push_back(layer.name);
  return names;
}

std::vector<std::string> runs(const OpGraph& graph) {
  std::vector<std::string> found;
  for (const Run& run : graph.runs()) {
    found.push_back(graph.blocks()[static_cast<std::size_t>(run.block)].name + " x" +
                    std::to_string(run.repeats));
  }
  return found;
}

const Layer& layer(const OpGraph& graph, std::string_view name) {
  for (const Layer& layer : graph.layers()) {
    if (layer.name == name) return layer;
  }
  throw std::out_of_range(std::string(name));
}

std::string complaint(const TransformerShape& shape) {
  try {
    build_transformer(shape);
  } catch (const Error& error) {
    return error.what();
  }
  return "no complaint";
}

// Tables 80 + 32; a layer 12 * 64 + 13 * 8 = 872; the last norm 16; the head is the table.
TEST(Transformer, HasTheLayersOfGpt2) {
  const OpGraph graph = build_transformer(small());
  EXPECT_EQ(graph.parameter_count(), 80 + 32 + 3 * 872 + 16);
  EXPECT_EQ(graph.parameter_count_without_head(), 80 + 32 + 3 * 872);
  EXPECT_THAT(runs(graph), ElementsAre("embedding x1", "layer x3", "head x1"));
  EXPECT_THAT(
      layer_names(graph),
      ElementsAre("embedding.tokens", "embedding.positions", "layer.attention_norm", "layer.query",
                  "layer.key", "layer.value", "layer.attention", "layer.output",
                  "layer.attention_add", "layer.mlp_norm", "layer.up", "layer.activation",
                  "layer.down", "layer.mlp_add", "head.norm", "head.vocabulary", "head.loss"));
  EXPECT_EQ(graph.block_count(BlockRole::layer), 3);
}

TEST(Transformer, AddsDropoutsOnlyWhereThereAreAny) {
  TransformerShape shape = small();
  EXPECT_FALSE(
      shape_of<AttentionShape>(layer(build_transformer(shape), "layer.attention")).dropout);
  shape.dropouts = {.embedding = true, .attention = true, .residual = true, .mlp = true};
  const OpGraph graph = build_transformer(shape);
  for (const char* name : {"embedding.dropout", "layer.attention_dropout",
                           "layer.activation_dropout", "layer.mlp_dropout"}) {
    EXPECT_EQ(layer(graph, name).kind, LayerKind::dropout);
  }
  EXPECT_TRUE(shape_of<AttentionShape>(layer(graph, "layer.attention")).dropout);
  EXPECT_EQ(graph.parameter_count(), build_transformer(small()).parameter_count());
}

// A head of its own: 80 more, with a bias 10.
TEST(Transformer, CountsTiedTablesOnce) {
  TransformerShape shape = small();
  const std::int64_t tied = build_transformer(shape).parameter_count();
  shape.head = {.tied = false, .bias = true};
  EXPECT_EQ(build_transformer(shape).parameter_count(), tied + 90);
}

// One head of keys and values in the place of two: 2 * (8 * 4 + 4) less a layer. Gate: 8 * 32 + 32 more.
TEST(Transformer, GroupsHeadsAndGatesMlps) {
  TransformerShape shape = small(1);
  const std::int64_t plain = build_transformer(shape).parameter_count();
  shape.attention.kv_heads = 1;
  EXPECT_EQ(build_transformer(shape).parameter_count(), plain - 72);
  shape.mlp.activation = LayerKind::gated_silu;
  const OpGraph graph = build_transformer(shape);
  EXPECT_EQ(graph.parameter_count(), plain - 72 + 288);
  EXPECT_EQ(layer(graph, "layer.activation").kind, LayerKind::gated_silu);
}

// A norm for keys and queries each: a gain and a shift of 4.
TEST(Transformer, NormsHeadsEachByTheSameGain) {
  TransformerShape shape = small(1);
  const std::int64_t plain = build_transformer(shape).parameter_count();
  shape.attention.head_norms = shape.attention.rotary = true;
  const OpGraph graph = build_transformer(shape);
  EXPECT_EQ(graph.parameter_count(), plain + 16);
  EXPECT_THAT(layer_names(graph), Contains("layer.key_rotary"));
}

TEST(Transformer, PlacesNormsBeforeAfterOrAround) {
  TransformerShape shape = small(1);
  shape.norm_place = NormPlace::after;
  shape.head.norm = false;
  const OpGraph post = build_transformer(shape);
  EXPECT_EQ(layer(post, "layer.mlp_norm").in_features, 8);
  EXPECT_EQ(post.layer(post.blocks()[1].last).name, "layer.mlp_norm");
  EXPECT_THAT(layer_names(post), Not(Contains("head.norm")));
  shape.norm_place = NormPlace::around;
  EXPECT_THAT(layer_names(build_transformer(shape)), Contains("layer.mlp_output_norm"));
}

// One norm fewer: 16.
TEST(Transformer, RunsAttentionAndMlpSideBySide) {
  TransformerShape shape = small(1);
  shape.residual = Residual::parallel;
  const OpGraph two = build_transformer(shape);
  EXPECT_EQ(two.parameter_count(), build_transformer(small(1)).parameter_count());
  EXPECT_EQ(two.consumers(kBlockInput).size(), 4U);  // two norms, the add, the head's norm
  shape.residual = Residual::parallel_one_norm;
  EXPECT_EQ(build_transformer(shape).parameter_count(), two.parameter_count() - 16);
}

TEST(Transformer, MakesAClassOfEachKindOfLayer) {
  TransformerShape shape = small(6);
  for (const std::size_t i : {1U, 3U, 5U}) shape.layers[i].window = 2;
  EXPECT_THAT(runs(build_transformer(shape)),
              ElementsAre("embedding x1", "layer_full x1", "layer_window_2 x1", "layer_full x1",
                          "layer_window_2 x1", "layer_full x1", "layer_window_2 x1", "head x1"));
  EXPECT_EQ(build_transformer(shape).size(), build_transformer(small(1)).size() + 12);
}

// Dense layer: 12 * 64 + 13 * 8 = 872. With experts: attention and norms 4 * 64 + 32 + 32 = 320, router
// 8 * 3, 3 experts of 8 * 16 + 16 + 16 * 8 + 8 = 280.
TEST(Transformer, PutsExpertsBehindDenseLayers) {
  TransformerShape shape = small(4);
  shape.experts = TransformerExperts{.count = 3, .top_k = 2, .features = 16};
  for (std::size_t i = 1; i < 4; ++i) shape.layers[i].experts = true;
  const OpGraph graph = build_transformer(shape);
  EXPECT_THAT(runs(graph),
              ElementsAre("embedding x1", "layer_dense x1", "layer_experts x3", "head x1"));
  EXPECT_EQ(graph.parameter_count(), 80 + 32 + 872 + 3 * (320 + 24 + 3 * 280) + 16);
  const Positions twice{.fixed = 0, .source = 2};
  EXPECT_EQ(layer(graph, "layer_experts.dispatch").positions, twice);
  EXPECT_EQ(layer(graph, "layer_experts.expert_down").positions, twice);
  EXPECT_EQ(layer(graph, "layer_experts.combine").positions, kSourceTokens);
}

// Shared: 8 * 5 + 5 + 5 * 8 + 8 = 93; its score 8.
TEST(Transformer, AddsSharedExperts) {
  TransformerShape shape = small(1);
  shape.experts = TransformerExperts{.count = 3, .top_k = 2, .features = 16};
  shape.layers[0].experts = true;
  const std::int64_t routed = build_transformer(shape).parameter_count();
  shape.experts->shared_features = 5;
  EXPECT_EQ(build_transformer(shape).parameter_count(), routed + 93);
  shape.experts->shared_gate = true;
  EXPECT_EQ(build_transformer(shape).parameter_count(), routed + 93 + 8);
}

// Queries 8 * 3, norm 3, 3 * 2 * 6; keys and values 8 * 5, norm 5, 5 * 2 * 4 each; shared key 8 * 2;
// output 2 * 4 * 8. Without a rank the queries are 8 * 12.
TEST(Transformer, NarrowsQueriesKeysAndValues) {
  TransformerShape shape = small(1);
  shape.norm = Norm::rms_norm;
  shape.attention = {.heads = 2,
                     .kv_heads = 2,
                     .qk_features = 6,
                     .v_features = 4,
                     .qkv_bias = false,
                     .output_bias = false,
                     .latent = LatentAttention{3, 5, 2}};
  const std::int64_t rest = 80 + 32 + 8 + (2 * 8 + 8 * 32 + 32 + 32 * 8 + 8);
  const std::int64_t values = 40 + 5 + 40 + 40 + 16 + 64;
  EXPECT_EQ(build_transformer(shape).parameter_count(), rest + 24 + 3 + 36 + values);
  shape.attention.latent->query_rank = 0;
  const OpGraph graph = build_transformer(shape);
  EXPECT_EQ(graph.parameter_count(), rest + 96 + values);
  EXPECT_EQ(shape_of<AttentionShape>(layer(graph, "layer.attention")).shared_key_features, 2);
}

// The bias by distance, 5 * 2, stands in the first layer of each stack. The decoder's table is the
// encoder's. A decoder's layer has a norm (16) and an attention (4 * 64 + 32) more.
TEST(Transformer, JoinsAnEncoderWithADecoder) {
  TransformerShape shape = small(2);
  shape.learned_positions = 0;
  shape.attention.causal = false;
  shape.attention.distance_buckets = 5;
  shape.decoder_layers = shape.layers;
  const OpGraph graph = build_transformer(shape);
  EXPECT_THAT(runs(graph),
              ElementsAre("embedding x1", "encoder_first x1", "encoder x1", "encoder_output x1",
                          "decoder_embedding x1", "decoder_first x1", "decoder x1", "head x1"));
  EXPECT_EQ(graph.parameter_count(), 80 + 2 * 872 + 10 + 16 + 2 * (872 + 16 + 288) + 10 + 16);
  EXPECT_EQ(layer(graph, "decoder.cross_key").positions, kSourceTokens);
  EXPECT_EQ(layer(graph, "decoder.cross_attention").positions, kTargetTokens);
  EXPECT_TRUE(shape_of<AttentionShape>(layer(graph, "decoder.attention")).causal);
  EXPECT_FALSE(shape_of<AttentionShape>(layer(graph, "decoder.cross_attention")).causal);
  EXPECT_FALSE(shape_of<AttentionShape>(layer(graph, "encoder.attention")).causal);
}

// Pooler 8 * 8 + 8. Heads: pairs 2 * 8 + 2; transform 72 and norm 16; bias of the words 10.
TEST(Transformer, PoolsPairsBesideMaskedWords) {
  TransformerShape shape = small(2);
  shape.head = {.norm = false, .bias = true, .transform = true, .pair_classes = 2};
  const OpGraph graph = build_transformer(shape);
  EXPECT_THAT(runs(graph), ElementsAre("embedding x1", "layer x2", "pooler x1", "head x1"));
  EXPECT_EQ(graph.parameter_count_without_head(), 112 + 2 * 872 + 72);
  EXPECT_EQ(graph.parameter_count(), 112 + 2 * 872 + 72 + 18 + 88 + 10);
  EXPECT_EQ(graph.classes(), 10);
  EXPECT_EQ(layer(graph, "head.pairs").positions, Positions{});
  EXPECT_EQ(layer(graph, "head.transform").positions, kSourceTokens);
}

// A patch: 3 * 4 * 8 + 8; the class token 8; 5 rows of positions; head 8 * 7 + 7.
TEST(Transformer, ReadsImagesInPatches) {
  TransformerShape shape = small(1);
  shape.image = TransformerImage{.size = 4, .patch = 2, .channels = 3};
  shape.learned_positions = 5;
  shape.head = {.tied = false, .classes = 7};
  const OpGraph graph = build_transformer(shape);
  EXPECT_EQ(graph.parameter_count(), 104 + 8 + 40 + 872 + 16 + 63);
  EXPECT_EQ(layer(graph, "layer.up").positions, Positions{.fixed = 5});
  EXPECT_EQ(graph.input_positions(), Positions{.fixed = 16});
  EXPECT_EQ(graph.input_features(), 3);
}

// 72 B s L h^2 (1 + s / 6h + V / 12Lh) of the shape of Megatron's 1.7B.
TEST(Transformer, HasTheMatrixProductsOfTheGptFormula) {
  TransformerShape shape = small(24);
  shape.hidden = 2304;
  shape.vocabulary = 51200;
  shape.attention = {.heads = 24, .kv_heads = 24, .qk_features = 96, .v_features = 96};
  for (TransformerLayer& l : shape.layers) l.mlp_features = 4 * 2304;
  const double s = 2048, h = 2304, layers = 24, words = 51200;
  const double expected = 72 * s * layers * h * h * (1 + s / (6 * h) + words / (12 * layers * h));
  const Sizing sizing{.lengths = {.source = 2048}};
  EXPECT_NEAR(matrix_flops(build_transformer(shape), sizing).count / expected, 1, 1e-12);
}

TEST(Transformer, RefusesShapesThatDoNotFit) {
  TransformerShape shape = small();
  shape.layers.clear();
  EXPECT_THAT(complaint(shape), HasSubstr("model small: expected 1 to 10000 layers, got 0"));
  shape = small();
  shape.attention.kv_heads = 3;
  EXPECT_THAT(complaint(shape), HasSubstr("key-value heads that divide its 2 heads, got 3"));
  shape = small();
  shape.layers[1].experts = true;
  EXPECT_THAT(complaint(shape), HasSubstr("has experts, but the shape has none"));
  shape = small();
  shape.image = TransformerImage{.size = 2, .patch = 3};
  EXPECT_THAT(complaint(shape), HasSubstr("a patch of 3 pixels is larger than the image, 2"));
  shape = small();
  shape.hidden = 0;
  EXPECT_THAT(complaint(shape), HasSubstr("expected 1 to 10000000 features, got 0"));
}

}  // namespace
}  // namespace foreplan
