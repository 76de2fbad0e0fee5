#include "tools/published_strategy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// 64 GPUs: tp 4, pp 2, dp 8; 64 samples a step, two at a time.
PublishedRow row() {
  PublishedRow row;
  row.hardware.gpus = 64;
  row.training = {.global_batch = 64,
                  .micro_batch = 2,
                  .accumulation = {},
                  .precision = "bf16",
                  .optimizer = "adam"};
  row.parallel.tp = 4;
  row.parallel.pp = 2;
  row.parallel.dp = 8;
  row.parallel.vpp = 1;
  row.parallel.sp = true;
  return row;
}

Strategy strategy(const PublishedRow& row, const PublishedSource& facts = {}) {
  std::vector<std::string> assumed;
  return published_strategy(row, facts, assumed);
}

std::vector<std::string> assumed(const PublishedRow& row) {
  std::vector<std::string> assumed;
  published_strategy(row, {}, assumed);
  return assumed;
}

std::string complaint(const PublishedRow& row) {
  try {
    strategy(row);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

TEST(PublishedStrategy, IsWhatTheRowTells) {
  EXPECT_EQ(format(strategy(row())), "dp=8,tp=4,pp=2,micro_batch=2,sp=1,schedule=1f1b");
  EXPECT_THAT(assumed(row()), IsEmpty());
}

TEST(PublishedStrategy, NeedsItsRanksAndItsBatch) {
  PublishedRow unknown = row();
  unknown.parallel.tp.reset();
  EXPECT_THAT(complaint(unknown), HasSubstr("parallel.tp is not told"));
  unknown = row();
  unknown.training.global_batch.reset();
  EXPECT_THAT(complaint(unknown), HasSubstr("training.global_batch is not told"));
  unknown = row();
  unknown.training.micro_batch.reset();
  EXPECT_THAT(complaint(unknown), HasSubstr("training.micro_batch is not told"));
}

TEST(PublishedStrategy, FollowsFromTheAccumulationWhereTheMicroBatchIsNotTold) {
  PublishedRow by_steps = row();
  by_steps.training.micro_batch.reset();
  by_steps.training.accumulation = 2;
  EXPECT_EQ(strategy(by_steps).micro_batch, 4);  // 64 / (8 x 2)
  by_steps.training.accumulation = 3;
  EXPECT_THAT(complaint(by_steps), HasSubstr("grad_accum does not divide"));
}

TEST(PublishedStrategy, RefusesWhatContradictsItself) {
  PublishedRow wrong = row();
  wrong.hardware.gpus = 32;
  EXPECT_THAT(complaint(wrong), HasSubstr("dp tp pp cp is 64, hardware.gpus 32"));
  wrong = row();
  wrong.training.accumulation = 8;  // 2 x 8 x 8 = 128
  EXPECT_THAT(complaint(wrong), HasSubstr("is 128, global_batch 64"));
  wrong = row();
  wrong.parallel.schedule = "all at once";
  EXPECT_THAT(complaint(wrong), HasSubstr("parallel.schedule: not understood"));
  wrong.parallel.schedule = "interleaved-1f1b";
  EXPECT_EQ(complaint(wrong), "no complaint");
  wrong.parallel.vpp.reset();
  EXPECT_THAT(complaint(wrong), HasSubstr("parallel.vpp is not told"));
}

TEST(PublishedStrategy, TellsWhatItAssumed) {
  PublishedRow open = row();
  open.parallel.vpp.reset();
  open.parallel.sp.reset();
  EXPECT_THAT(assumed(open), ElementsAre("sp", "vpp"));
  EXPECT_EQ(strategy(open).vpp, 1);
  EXPECT_FALSE(strategy(open).sp);
  PublishedSource facts;
  facts.vpp = 10;
  EXPECT_EQ(strategy(open, facts).vpp, 10);
  facts.sp = true;
  EXPECT_TRUE(strategy(open, facts).sp);
}

TEST(PublishedStrategy, ReadsZeroFromStageShardsOrOptimizer) {
  PublishedRow sharded = row();
  EXPECT_EQ(strategy(sharded).zero, 0);
  PublishedSource distributed;
  distributed.zero = 1;
  EXPECT_EQ(strategy(sharded, distributed).zero, 1);
  sharded.training.optimizer = "adam (distributed optimizer)";
  EXPECT_EQ(strategy(sharded).zero, 1);
  sharded.parallel.fsdp_shard_size = 8;
  EXPECT_EQ(strategy(sharded).zero, 2);
  sharded.parallel.zero_stage = 3;
  EXPECT_EQ(strategy(sharded).zero, 3);
  sharded.parallel.fsdp_shard_size = 4;
  EXPECT_THAT(complaint(sharded), HasSubstr("no hybrid sharding"));
}

TEST(PublishedRecompute, IsOpenWhereWordsHaveNoStrategy) {
  const auto recompute = [](const char* text) {
    PublishedRow told;
    told.parallel.recompute = text;
    return published_recompute(told, {});
  };
  EXPECT_EQ(recompute("full (use_checkpoint=true)"), Recompute::full);
  EXPECT_EQ(recompute("selective (op-level)"), Recompute::selective);
  EXPECT_EQ(recompute("-r 0 (no recompute)"), Recompute::none);
  EXPECT_EQ(recompute(""), std::nullopt);
  EXPECT_EQ(recompute("every n-th block (selective)"), std::nullopt);
}

// A row's own word goes before its source's, unless no strategy has it.
TEST(PublishedRecompute, IsThatOfTheSourceWhereTheRowTellsNone) {
  PublishedSource facts;
  facts.recompute = Recompute::full;
  PublishedRow open;
  EXPECT_EQ(published_recompute(open, facts), Recompute::full);
  open.parallel.recompute = "selective";
  EXPECT_EQ(published_recompute(open, facts), Recompute::selective);
  open.parallel.recompute = "every n-th block (selective)";
  EXPECT_EQ(published_recompute(open, facts), Recompute::full);
  EXPECT_EQ(published_recompute(open, {}), std::nullopt);
  facts.recompute_instead = Recompute::none;
  EXPECT_EQ(published_recompute(open, facts), Recompute::none);
}

TEST(PublishedPrecision, IsThatOfTheProducts) {
  const auto precision = [](const char* text) {
    PublishedRow told;
    told.training.precision = text;
    return published_precision(told);
  };
  EXPECT_EQ(precision("bf16"), DType::bf16);
  EXPECT_EQ(precision("amp fp16 (NHWC)"), DType::fp16);
  EXPECT_EQ(precision("mxfp8"), DType::fp8);
  EXPECT_EQ(precision("fp8 (rowwise)"), DType::fp8);
  EXPECT_THROW(precision("nvfp4"), Error);
}

TEST(PublishedOptimizer, KeepsOneOrTwoNumbersAndNoAdapters) {
  std::vector<std::string> assumed;
  PublishedRow told = row();
  told.training.optimizer = "lars";
  EXPECT_EQ(published_optimizer(told, assumed), Optimizer::sgd);
  told.training.optimizer = "lamb";
  EXPECT_EQ(published_optimizer(told, assumed), Optimizer::adam);
  EXPECT_THAT(assumed, IsEmpty());
  told.training.optimizer = "";
  EXPECT_EQ(published_optimizer(told, assumed), Optimizer::adam);
  EXPECT_THAT(assumed, ElementsAre("optimizer"));
  told.notes = "Task: LoRA.";
  EXPECT_THROW(published_optimizer(told, assumed), Error);
}

}  // namespace
}  // namespace foreplan
