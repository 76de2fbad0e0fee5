#include "models/stack_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "sim/error.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Stack read(const std::string& keys) {
  const fs::path path = fs::path(::testing::TempDir()) /
                        (std::string("foreplan_stack_") +
                         ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".json");
  std::ofstream(path) << R"({"schema": "foreplan.stack/1", "name": "n", "source": "s")" + keys +
                             "}";
  const Stack stack = read_stack(path);
  fs::remove(path);
  return stack;
}

std::string complaint(const std::string& keys) {
  try {
    read(keys);
  } catch (const Error& error) {
    return error.what();
  }
  return "no complaint";
}

TEST(StackFile, KeepsDefaultsOfWhatIsLeftOut) {
  const Stack stack = read("");
  EXPECT_EQ(stack.name, "n");
  EXPECT_EQ(stack.source, "s");
  EXPECT_EQ(stack.fused_attention, Stack{}.fused_attention);
  EXPECT_EQ(stack.gradient_bytes, Stack{}.gradient_bytes);
  EXPECT_EQ(stack.bucket, Stack{}.bucket);
}

TEST(StackFile, TellsEveryFeature) {
  const Stack stack = read(R"(, "fused_attention": false, "overlap_gradients": false,
    "overlap_parameters": true, "overlap_tensor": false, "prefetch_parameters": false,
    "clip_gradients": false, "scatter_activations": false, "master_weights": false,
    "gradient_bytes": 2, "first_bucket_bytes": 3, "bucket_bytes": 5,
    "bucket_bytes_per_rank": 7, "dispatch_once_per_node": true)");
  EXPECT_FALSE(stack.fused_attention || stack.overlap_gradients || stack.overlap_tensor);
  EXPECT_FALSE(stack.prefetch_parameters || stack.clip_gradients || stack.scatter_activations);
  EXPECT_FALSE(stack.master_weights);
  EXPECT_TRUE(stack.overlap_parameters);
  EXPECT_EQ(stack.gradient_bytes, 2);
  EXPECT_EQ(stack.first_bucket, 3_B);
  EXPECT_EQ(stack.bucket, 5_B);
  EXPECT_EQ(stack.bucket_per_rank, 7_B);
  EXPECT_TRUE(stack.dispatch_once);
}

TEST(StackFile, TellsWhatItsKernelsFuse) {
  const KernelFeatures kernels = read(R"(, "skip_masked": false, "flash_attention": 1,
    "fused_elementwise": false, "fused_norms": false, "fused_rotary": false, "fused_loss": false,
    "fused_optimizer": false, "fused_projections": false, "fused_accumulation": false,
    "stops_recomputing": true)")
                                     .kernels;
  EXPECT_FALSE(kernels.skip_masked || kernels.fused_elementwise || kernels.fused_norms);
  EXPECT_FALSE(kernels.fused_rotary || kernels.fused_loss || kernels.fused_optimizer);
  EXPECT_FALSE(kernels.fused_projections || kernels.fused_accumulation);
  EXPECT_TRUE(kernels.stops_recomputing);
  EXPECT_EQ(kernels.flash_attention, 1);
  const KernelFeatures usual = read("").kernels;
  EXPECT_TRUE(usual.skip_masked && usual.fused_norms && usual.fused_accumulation);
  EXPECT_FALSE(usual.stops_recomputing);
  EXPECT_EQ(usual.flash_attention, 0);
}

TEST(StackFile, TellsHowItRunsExperts) {
  const Stack stack = read(R"(, "overlap_experts": true, "fused_experts": true)");
  EXPECT_TRUE(stack.overlap_experts && stack.kernels.fused_experts);
  EXPECT_FALSE(read("").overlap_experts || read("").kernels.fused_experts);
}

TEST(StackFile, TellsWhatItsHostTakes) {
  const Stack stack = read(R"(, "host_launch_s": 5e-6, "host_step_s": 0.25)");
  EXPECT_EQ(stack.host_launch, std::chrono::microseconds(5));
  EXPECT_EQ(stack.host_step, std::chrono::milliseconds(250));
  EXPECT_EQ(read("").host_launch, Duration::zero());
  EXPECT_EQ(read("").host_pace, HostPace::ahead);
  EXPECT_EQ(read(R"(, "host_pace": "starts_idle")").host_pace, HostPace::starts_idle);
  EXPECT_EQ(read(R"(, "host_pace": "waits")").host_pace, HostPace::waits);
  EXPECT_THAT(complaint(R"(, "host_pace": "slow")"), HasSubstr("/host_pace: expected ahead"));
  EXPECT_THAT(complaint(R"(, "host_launch_s": -1)"), HasSubstr("/host_launch_s: expected"));
  EXPECT_THAT(complaint(R"(, "flash_attention": 4)"), HasSubstr("/flash_attention: expected"));
  EXPECT_THAT(complaint(R"(, "fused_norms": 1)"), HasSubstr("/fused_norms: expected"));
}

TEST(StackFile, TellsWhatIsCopiedAndCast) {
  const Stack stack = read(R"(, "copies_parameters": true, "copies_gradients": true,
    "copies_sequence": true, "fp8_scaling": "rows", "fp8_gathers": true)");
  EXPECT_TRUE(stack.copies_parameters && stack.copies_gradients && stack.copies_sequence);
  EXPECT_TRUE(stack.fp8_gathers);
  EXPECT_EQ(stack.fp8_scaling, Fp8Scaling::rows);
  EXPECT_EQ(read(R"(, "fp8_scaling": "tensor")").fp8_scaling, Fp8Scaling::tensor);
  const Stack usual = read(R"(, "fp8_scaling": "delayed")");
  EXPECT_EQ(usual.fp8_scaling, Stack{}.fp8_scaling);
  EXPECT_FALSE(usual.copies_parameters || usual.copies_gradients || usual.copies_sequence);
  EXPECT_FALSE(usual.fp8_gathers);
  EXPECT_THAT(complaint(R"(, "fp8_scaling": "blocks")"),
              HasSubstr("/fp8_scaling: expected delayed, tensor or rows"));
}

TEST(StackFile, TellsWhatLiesInMemory) {
  const Stack stack = read(R"(, "fused_projections": false, "fused_elementwise": false,
    "fused_accumulation": false, "cached_fp8_weights": false, "saved_fp8_inputs": false,
    "fp8_parameters": true, "fp32_parameters": true, "micro_batch_gradients": true,
    "fp32_gradient_shard": true, "placeholder_gradients": true, "weighed_stages": true,
    "loss": "torch", "selective_recompute": "operations", "gather_buffer_bytes": 7,
    "reduce_buffer_bytes": 8, "context_bytes": 9)");
  EXPECT_FALSE(stack.kernels.fused_projections || stack.kernels.fused_elementwise ||
               stack.kernels.fused_accumulation);
  EXPECT_FALSE(stack.cached_fp8_weights || stack.saved_fp8_inputs);
  EXPECT_TRUE(stack.fp8_parameters && stack.fp32_parameters && stack.micro_batch_gradients);
  EXPECT_TRUE(stack.fp32_gradient_shard && stack.placeholder_gradients && stack.weighed_stages);
  EXPECT_EQ(stack.loss, LossKernel::torch);
  EXPECT_EQ(stack.selective, SelectiveRecompute::operations);
  EXPECT_EQ(stack.gather_buffer, 7_B);
  EXPECT_EQ(stack.reduce_buffer, 8_B);
  EXPECT_EQ(stack.context_bytes, 9_B);
  EXPECT_EQ(read(R"(, "loss": "logits")").loss, LossKernel::logits);
  EXPECT_EQ(read(R"(, "loss": "fused")").loss, LossKernel::fused);
  EXPECT_EQ(read(R"(, "loss": "in_place")").loss, LossKernel::in_place);
}

// Parameters that lie in fp32 alone need no other master, whatever is computed.
TEST(Stack, KeepsOneCopyOfFp32Parameters) {
  Stack stack;
  EXPECT_TRUE(stack.keeps_master(DType::bf16));
  EXPECT_FALSE(stack.keeps_master(DType::fp32));
  EXPECT_EQ(stack.stored(DType::bf16), DType::bf16);
  stack.fp32_parameters = true;
  EXPECT_FALSE(stack.keeps_master(DType::bf16));
  EXPECT_EQ(stack.stored(DType::bf16), DType::fp32);
}

TEST(StackFile, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(complaint(R"(, "loss": "chunked")"),
              HasSubstr("/loss: expected in_place, torch, logits or fused"));
  EXPECT_THAT(complaint(R"(, "selective_recompute": "all")"),
              HasSubstr("/selective_recompute: expected attention or operations"));
  EXPECT_THAT(complaint(R"(, "context_bytes": -1)"), HasSubstr("/context_bytes: "));
  EXPECT_THAT(complaint(R"(, "speed": 2)"), HasSubstr("/speed: expected one of"));
  EXPECT_THAT(complaint(R"(, "gradient_bytes": 3)"), HasSubstr("/gradient_bytes: expected 1, 2"));
  EXPECT_THAT(complaint(R"(, "bucket_bytes": 0)"), HasSubstr("/bucket_bytes: "));
  EXPECT_THAT(complaint(R"(, "overlap_tensor": "yes")"), HasSubstr("expected true or false"));
}

TEST(ShippedStacks, AreReadUnderTheirOwnNames) {
  int stacks = 0;
  for (const auto& entry : fs::directory_iterator(FOREPLAN_SOURCE_DIR "/models/stacks")) {
    const Stack stack = read_stack(entry.path());
    EXPECT_EQ(stack.name, entry.path().stem());
    EXPECT_FALSE(stack.source.empty()) << stack.name;
    ++stacks;
  }
  EXPECT_GE(stacks, 15);
}

}  // namespace
}  // namespace foreplan
