#include "models/stack_io.hpp"

#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

void read_flag(JsonObject& object, const char* key, bool& flag) {
  if (const auto value = object.optional(key)) flag = value->boolean();
}

void read_bytes(JsonObject& object, const char* key, std::int64_t least, Bytes& bytes) {
  constexpr std::int64_t kMost = std::int64_t{1} << 50;
  if (const auto value = object.optional(key)) bytes = Bytes{value->integer(least, kMost)};
}

LossKernel read_loss(const JsonValue& value) {
  const std::string name = value.text();
  if (name == "in_place") return LossKernel::in_place;
  if (name == "torch") return LossKernel::torch;
  if (name == "logits") return LossKernel::logits;
  if (name == "fused") return LossKernel::fused;
  value.expected("in_place, torch, logits or fused");
}

SelectiveRecompute read_selective(const JsonValue& value) {
  const std::string name = value.text();
  if (name == "attention") return SelectiveRecompute::attention;
  if (name == "operations") return SelectiveRecompute::operations;
  value.expected("attention or operations");
}

Fp8Scaling read_scaling(const JsonValue& value) {
  const std::string name = value.text();
  if (name == "delayed") return Fp8Scaling::delayed;
  if (name == "tensor") return Fp8Scaling::tensor;
  if (name == "rows") return Fp8Scaling::rows;
  value.expected("delayed, tensor or rows");
}

HostPace read_pace(const JsonValue& value) {
  const std::string name = value.text();
  if (name == "ahead") return HostPace::ahead;
  if (name == "starts_idle") return HostPace::starts_idle;
  if (name == "waits") return HostPace::waits;
  value.expected("ahead, starts_idle or waits");
}

Blocking read_blocking(const JsonValue& value) {
  const std::string text = value.text();
  if (text == "never") return Blocking::never;
  if (text == "plain") return Blocking::plain;
  if (text == "always") return Blocking::always;
  value.expected("never, plain or always");
}

int read_gradient_bytes(const JsonValue& value) {
  const std::int64_t bytes = value.integer(1, 8);
  if ((bytes & (bytes - 1)) != 0) value.expected("1, 2, 4 or 8");
  return static_cast<int>(bytes);
}

void read_memory(JsonObject& root, Stack& stack) {
  if (const auto loss = root.optional("loss")) stack.loss = read_loss(*loss);
  if (const auto kind = root.optional("selective_recompute")) {
    stack.selective = read_selective(*kind);
  }
  if (const auto scaling = root.optional("fp8_scaling")) {
    stack.fp8_scaling = read_scaling(*scaling);
  }
  read_flag(root, "fp8_gathers", stack.fp8_gathers);
  read_flag(root, "cached_fp8_weights", stack.cached_fp8_weights);
  read_flag(root, "saved_fp8_inputs", stack.saved_fp8_inputs);
  read_flag(root, "fp8_parameters", stack.fp8_parameters);
  read_flag(root, "fp32_parameters", stack.fp32_parameters);
  read_flag(root, "placeholder_gradients", stack.placeholder_gradients);
  read_flag(root, "micro_batch_gradients", stack.micro_batch_gradients);
  read_flag(root, "fp32_gradient_shard", stack.fp32_gradient_shard);
  read_flag(root, "weighed_stages", stack.weighed_stages);
  read_bytes(root, "gather_buffer_bytes", 0, stack.gather_buffer);
  read_bytes(root, "reduce_buffer_bytes", 0, stack.reduce_buffer);
  read_bytes(root, "context_bytes", 0, stack.context_bytes);
}

void read_features(JsonObject& root, Stack& stack) {
  read_flag(root, "fused_attention", stack.fused_attention);
  read_flag(root, "overlap_gradients", stack.overlap_gradients);
  read_flag(root, "overlap_parameters", stack.overlap_parameters);
  read_flag(root, "overlap_tensor", stack.overlap_tensor);
  read_flag(root, "context_heads", stack.context_heads);
  read_flag(root, "copies_sequence", stack.copies_sequence);
  read_flag(root, "pipeline_tensor", stack.pipeline_tensor);
  if (const auto block = root.optional("messages_block")) {
    stack.messages_block = read_blocking(*block);
  }
  read_flag(root, "overlap_experts", stack.overlap_experts);
  read_flag(root, "copies_parameters", stack.copies_parameters);
  read_flag(root, "copies_gradients", stack.copies_gradients);
  read_flag(root, "gather_again", stack.gather_again);
  read_flag(root, "prefetch_parameters", stack.prefetch_parameters);
  read_flag(root, "dispatch_once_per_node", stack.dispatch_once);
  read_flag(root, "clip_gradients", stack.clip_gradients);
  read_flag(root, "scatter_activations", stack.scatter_activations);
  read_flag(root, "master_weights", stack.master_weights);
}

void read_kernels(JsonObject& root, KernelFeatures& kernels) {
  read_flag(root, "skip_masked", kernels.skip_masked);
  if (const auto generation = root.optional("flash_attention")) {
    kernels.flash_attention = static_cast<int>(generation->integer(1, 3));
  }
  read_flag(root, "fused_elementwise", kernels.fused_elementwise);
  read_flag(root, "fused_norms", kernels.fused_norms);
  read_flag(root, "fused_rotary", kernels.fused_rotary);
  read_flag(root, "fused_loss", kernels.fused_loss);
  read_flag(root, "fused_experts", kernels.fused_experts);
  read_flag(root, "fused_optimizer", kernels.fused_optimizer);
  read_flag(root, "fused_projections", kernels.fused_projections);
  read_flag(root, "stops_recomputing", kernels.stops_recomputing);
  read_flag(root, "fused_accumulation", kernels.fused_accumulation);
}

}  // namespace

Stack read_stack(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("stack");
  Stack stack;
  stack.name = root.required("name").text();
  stack.source = root.required("source").text();
  read_features(root, stack);
  read_kernels(root, stack.kernels);
  read_memory(root, stack);
  if (const auto time = root.optional("host_launch_s")) stack.host_launch = read_seconds(*time);
  if (const auto pace = root.optional("host_pace")) stack.host_pace = read_pace(*pace);
  if (const auto time = root.optional("host_step_s")) stack.host_step = read_seconds(*time);
  if (const auto bytes = root.optional("gradient_bytes")) {
    stack.gradient_bytes = read_gradient_bytes(*bytes);
  }
  read_bytes(root, "first_bucket_bytes", 1, stack.first_bucket);
  read_bytes(root, "bucket_bytes", 1, stack.bucket);
  read_bytes(root, "bucket_bytes_per_rank", 1, stack.bucket_per_rank);
  root.finish();
  return stack;
}

}  // namespace foreplan
