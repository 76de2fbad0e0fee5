#include "planner/unit_work.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/stage_layout.hpp"
#include "tests/models/gpt.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// One sample of 4 tokens, width 8, 2 heads, 16 words: s b h = 32 numbers, s b v = 64.
const GptSizes kTiny{};

UnitWork lower_block(const OpGraph& gpt, std::size_t block, UnitSetting setting) {
  setting.lengths = {.source = 4};
  const Block& range = gpt.blocks()[block];
  return lower_unit(gpt, {range.first, range.last}, setting);
}

UnitWork head(LossKernel loss) {
  UnitSetting setting{.dtype = DType::fp16};
  setting.stack.loss = loss;
  return lower_block(hand_made_gpt(kTiny), 2, setting);
}

// What enters the norm and the head's product, 64 bytes each, statistics of 4 rows, 8 each. In place:
// probabilities of 64 words in fp32, 256; forward has the logits, 128, and those in fp32, 256, beside;
// backward the gradient of the logits, 128.
TEST(UnitWork, KeepsProbabilitiesOfALossInPlace) {
  const UnitWork work = head(LossKernel::in_place);
  EXPECT_EQ(work.saved, 64_B + 64_B + 32_B + 256_B);
  EXPECT_EQ(work.working.forward, 128_B + 256_B);
  EXPECT_EQ(work.working.backward, 128_B);
}

// PyTorch's backward has two gradients in fp32 at once, 512, or one and that in fp16.
TEST(UnitWork, MakesTwoGradientsInFp32ForPyTorchsLoss) {
  const UnitWork work = head(LossKernel::torch);
  EXPECT_EQ(work.saved, 64_B + 64_B + 32_B + 256_B);
  EXPECT_EQ(work.working.forward, 128_B + 256_B);
  EXPECT_EQ(work.working.backward, 512_B);
}

// Logits are kept, 128: then the gradient lies beside them or in their place.
TEST(UnitWork, KeepsLogitsOfAFusedLoss) {
  for (const LossKernel loss : {LossKernel::logits, LossKernel::fused}) {
    const UnitWork work = head(loss);
    EXPECT_EQ(work.saved, 64_B + 64_B + 32_B + 128_B);
    EXPECT_EQ(work.working.forward, 0_B);
    EXPECT_EQ(work.working.backward, loss == LossKernel::logits ? 128_B : 0_B);
  }
}

// q, k, v, projection, up, down: the first, third and fifth stay (64, 64, 256 bytes), with what enters (64),
// attention's output (64) and its logsumexp (4 rows, 2 heads, 4 bytes).
TEST(UnitWork, KeepsEverySecondProductOfSelectedOperations) {
  UnitSetting setting{.dtype = DType::fp16};
  setting.stack.selective = SelectiveRecompute::operations;
  setting.stack.kernels.fused_projections = false;
  const OpGraph gpt = hand_made_gpt(kTiny);
  const UnitWork work = lower_block(gpt, 1, setting);
  EXPECT_EQ(work.saved_selectively, 64_B + 64_B + 256_B + 64_B + 64_B + 32_B);
  std::vector<std::string> kept;
  for (const LayerWork& layer : work.layers) {
    if (!layer.recomputed_selectively) kept.push_back(gpt.layer(layer.layer).name);
  }
  EXPECT_THAT(kept, ElementsAre("q", "v", "attention", "up"));
}

const LayerWork& layer_named(const OpGraph& gpt, const UnitWork& work, const char* name) {
  for (const LayerWork& layer : work.layers) {
    if (gpt.layer(layer.layer).name == name) return layer;
  }
  throw std::logic_error(name);
}

// Query, key and value of 8 by 8 each: one product of 8 by 24, in every pass.
TEST(UnitWork, FusesProductsOfOneInput) {
  const OpGraph gpt = hand_made_gpt(kTiny);
  const UnitWork work = lower_block(gpt, 1, {});
  const LayerOps& first = layer_named(gpt, work, "q").ops;
  for (const auto* pass : {&first.forward, &first.backward_input, &first.backward_weight}) {
    ASSERT_EQ(pass->size(), 1u);
    EXPECT_THAT(pass->front().key.shape, ElementsAre(4, 8, 24));
  }
  for (const char* name : {"k", "v"}) {
    const LayerOps& ops = layer_named(gpt, work, name).ops;
    EXPECT_THAT(ops.forward, IsEmpty());
    EXPECT_THAT(ops.backward_input, IsEmpty());
    EXPECT_THAT(ops.backward_weight, IsEmpty());
  }
  EXPECT_EQ(layer_named(gpt, work, "up").ops.forward.size(), 1u);
  UnitSetting apart;
  apart.stack.kernels.fused_projections = false;
  const UnitWork three = lower_block(gpt, 1, apart);
  EXPECT_THAT(layer_named(gpt, three, "k").ops.forward.front().key.shape, ElementsAre(4, 8, 8));
}

/// Width 16, so that products come in whole groups.
const GptSizes kWide{.layers = 2, .h = 16, .a = 2, .vocabulary = 32, .positions = 4};

std::vector<std::string> names(const std::vector<Op>& ops) {
  std::vector<std::string> result;
  for (const Op& op : ops) result.push_back(op.key.op + " " + std::string(name(op.key.dtype)));
  return result;
}

// Up: its input, 4 rows of 16, is cast before it, the gradient of its output, 4 rows of 64, before it goes
// back; both from bf16. Attention and norms are in bf16.
TEST(UnitWork, CastsWhatProductsMultiplyAsFp8) {
  const OpGraph gpt = hand_made_gpt(kWide);
  const UnitWork work = lower_block(gpt, 1, {.dtype = DType::bf16, .products = DType::fp8});
  const LayerOps& up = layer_named(gpt, work, "up").ops;
  EXPECT_THAT(names(up.forward), ElementsAre("cast bf16", "linear fp8"));
  EXPECT_THAT(up.forward.front().key.shape, ElementsAre(64));
  EXPECT_THAT(names(up.backward_input), ElementsAre("cast bf16", "linear fp8"));
  EXPECT_THAT(up.backward_input.front().key.shape, ElementsAre(256));
  EXPECT_THAT(names(up.backward_weight), ElementsAre("linear fp8"));
  EXPECT_THAT(names(layer_named(gpt, work, "attention").ops.forward),
              ElementsAre("causal_attention bf16"));
  EXPECT_THAT(names(layer_named(gpt, work, "norm1").ops.forward), ElementsAre("layer_norm bf16"));
  EXPECT_EQ(work.fp8_parameters, 12 * 16 * 16);
}

// Casts of weights that do not stay are made forward and backward, 16 by 64; so is that of the input.
TEST(UnitWork, CastsAnewWhatIsNotKept) {
  const OpGraph gpt = hand_made_gpt(kWide);
  UnitSetting setting{.dtype = DType::bf16, .products = DType::fp8};
  setting.stack.cached_fp8_weights = setting.stack.saved_fp8_inputs = false;
  const UnitWork work = lower_block(gpt, 1, setting);
  const LayerOps& up = layer_named(gpt, work, "up").ops;
  EXPECT_THAT(names(up.forward), ElementsAre("cast bf16", "cast bf16", "linear fp8"));
  EXPECT_THAT(up.forward.front().key.shape, ElementsAre(1024));
  EXPECT_THAT(names(up.backward_input), ElementsAre("cast bf16", "cast bf16", "linear fp8"));
  EXPECT_THAT(names(up.backward_weight), ElementsAre("cast bf16", "linear fp8"));
}

// Up reads 64 numbers of bf16 and writes 2 bytes each: 256 bytes; read once more for the largest, 384 in two
// kernels; with scales of each side twice more, 512 in three.
TEST(UnitWork, ReadsAgainWhatScalesAreFoundFor) {
  const OpGraph gpt = hand_made_gpt(kWide);
  const auto cast = [&](Fp8Scaling scaling) {
    UnitSetting setting{.dtype = DType::bf16, .products = DType::fp8};
    setting.stack.fp8_scaling = scaling;
    const UnitWork work = lower_block(gpt, 1, setting);
    return layer_named(gpt, work, "up").ops.forward.front();
  };
  EXPECT_EQ(cast(Fp8Scaling::delayed).traffic, 256_B);
  EXPECT_EQ(cast(Fp8Scaling::delayed).launches, 1);
  EXPECT_EQ(cast(Fp8Scaling::tensor).traffic, 384_B);
  EXPECT_EQ(cast(Fp8Scaling::tensor).launches, 2);
  EXPECT_EQ(cast(Fp8Scaling::rows).traffic, 512_B);
  EXPECT_EQ(cast(Fp8Scaling::rows).launches, 3);
}

// Four rows of 16 enter query, key and value, and up: 128 bytes of bf16, 64 of fp8. What is reduced stays in bf16.
TEST(UnitWork, GathersInFp8WhatIsMultipliedSo) {
  const OpGraph gpt = hand_made_gpt(kWide);
  const auto gathered = [&](bool fp8_gathers, std::optional<DType> products) {
    UnitSetting setting{.dtype = DType::bf16, .products = products, .tp = 2, .sp = true};
    setting.stack.fp8_gathers = fp8_gathers;
    Bytes sum;
    for (const Exchange& exchange : lower_block(gpt, 1, setting).exchanges) {
      const bool gather = exchange.kind == CollectiveKind::all_gather;
      if (gather && exchange.pass == Pass::forward) sum += exchange.bytes;
      if (!gather) {
        EXPECT_EQ(exchange.bytes, 128_B);
      }
    }
    return sum;
  };
  EXPECT_EQ(gathered(false, DType::fp8), 256_B);
  EXPECT_EQ(gathered(true, DType::fp8), 128_B);
  EXPECT_EQ(gathered(true, std::nullopt), 256_B);
}

// In bf16 a layer keeps 34 s b h bytes (docs/forecast.md). As fp8 the inputs of q k v, up and down take a byte
// less a number, 1 + 1 + 4; that of projection, which attention keeps too, a copy of one more.
TEST(UnitWork, KeepsInputsOfProductsInFp8) {
  const OpGraph gpt = hand_made_gpt(kWide);
  const Bytes plain = lower_block(gpt, 1, {.dtype = DType::bf16}).saved;
  const Bytes narrow = lower_block(gpt, 1, {.dtype = DType::bf16, .products = DType::fp8}).saved;
  EXPECT_EQ(plain - narrow, 4 * 16 * (1 + 1 + 4 - 1) * 1_B);
}

// Weights of fp16 that are not added in place: down's, 32 by 8, while it goes back, whose gradients are of 4 by
// 8 and 4 by 32: more than without.
TEST(UnitWork, StoresWeightsGradientsUnlessTheyAreAddedAtOnce) {
  UnitSetting setting{.dtype = DType::fp16};
  const OpGraph gpt = hand_made_gpt(kTiny);
  const UnitWork fused = lower_block(gpt, 1, setting);
  setting.stack.kernels.fused_accumulation = false;
  const UnitWork apart = lower_block(gpt, 1, setting);
  EXPECT_EQ(fused.saved, apart.saved);
  EXPECT_GE(apart.working.backward, fused.working.backward + 2 * 8 * 32 * 1_B);
  EXPECT_EQ(apart.placeholders, 0_B);
}

// Autograd gets a tensor for each product of a layer: 12 h^2 weights of 2 bytes.
TEST(UnitWork, HoldsPlaceholdersOfWeightsGradients) {
  UnitSetting setting{.dtype = DType::fp16};
  setting.stack.placeholder_gradients = true;
  const OpGraph gpt = hand_made_gpt(kTiny);
  EXPECT_EQ(lower_block(gpt, 1, setting).placeholders, 2 * 12 * 64 * 1_B);
  // The table that the head shares counts: its gradient is the head's too.
  EXPECT_EQ(lower_block(gpt, 2, setting).placeholders, 2 * 8 * 16 * 1_B);
}

// 12 h^2 = 768 weights a layer, 128 in the head: 4 layers and the head are 3200, half of it 1600; two layers
// are 1536, the third exceeds it and still goes with the first stage.
TEST(WeighedLayers, ShareWeightsOfProducts) {
  const OpGraph gpt = hand_made_gpt({.layers = 4});
  EXPECT_THAT(weighed_layers(gpt, unit_chain(gpt), 2), ElementsAre(3, 1));
  EXPECT_THAT(weighed_layers(gpt, unit_chain(gpt), 1), ElementsAre(4));
  EXPECT_THAT(weighed_layers(gpt, unit_chain(gpt), 4), ElementsAre(1, 1, 1, 1));
}

// A head of 64 words times 8: 512 weights of 3584 in all; the same with a head of 4096: 32768, and every stage
// still has a layer.
TEST(WeighedLayers, LeaveEveryStageALayer) {
  const OpGraph gpt = hand_made_gpt({.layers = 4, .vocabulary = 4096});
  EXPECT_THAT(weighed_layers(gpt, unit_chain(gpt), 2), ElementsAre(3, 1));
}

}  // namespace
}  // namespace foreplan
