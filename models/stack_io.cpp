#include "models/stack_io.hpp"

#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

void read_flag(JsonObject& object, const char* key, bool& flag) {
  if (const auto value = object.optional(key)) flag = value->boolean();
}

void read_bucket(JsonObject& object, const char* key, Bytes& bytes) {
  constexpr std::int64_t kMost = std::int64_t{1} << 50;
  if (const auto value = object.optional(key)) bytes = Bytes{value->integer(1, kMost)};
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

}  // namespace

Stack read_stack(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("stack");
  Stack stack;
  stack.name = root.required("name").text();
  stack.source = root.required("source").text();
  read_flag(root, "fused_attention", stack.fused_attention);
  read_flag(root, "overlap_gradients", stack.overlap_gradients);
  read_flag(root, "overlap_parameters", stack.overlap_parameters);
  read_flag(root, "overlap_tensor", stack.overlap_tensor);
  read_flag(root, "pipeline_tensor", stack.pipeline_tensor);
  if (const auto block = root.optional("messages_block")) {
    stack.messages_block = read_blocking(*block);
  }
  read_flag(root, "gather_again", stack.gather_again);
  read_flag(root, "prefetch_parameters", stack.prefetch_parameters);
  read_flag(root, "dispatch_once_per_node", stack.dispatch_once);
  read_flag(root, "clip_gradients", stack.clip_gradients);
  read_flag(root, "scatter_activations", stack.scatter_activations);
  read_flag(root, "master_weights", stack.master_weights);
  read_flag(root, "skip_masked", stack.kernels.skip_masked);
  if (const auto generation = root.optional("flash_attention")) {
    stack.kernels.flash_attention = static_cast<int>(generation->integer(1, 3));
  }
  read_flag(root, "fused_elementwise", stack.kernels.fused_elementwise);
  read_flag(root, "fused_norms", stack.kernels.fused_norms);
  read_flag(root, "fused_rotary", stack.kernels.fused_rotary);
  read_flag(root, "fused_loss", stack.kernels.fused_loss);
  read_flag(root, "fused_optimizer", stack.kernels.fused_optimizer);
  read_flag(root, "fused_projections", stack.kernels.fused_projections);
  read_flag(root, "stops_recomputing", stack.kernels.stops_recomputing);
  read_flag(root, "fused_accumulation", stack.kernels.fused_accumulation);
  if (const auto time = root.optional("host_launch_s")) stack.host_launch = read_seconds(*time);
  if (const auto time = root.optional("host_step_s")) stack.host_step = read_seconds(*time);
  if (const auto bytes = root.optional("gradient_bytes")) {
    stack.gradient_bytes = read_gradient_bytes(*bytes);
  }
  read_bucket(root, "first_bucket_bytes", stack.first_bucket);
  read_bucket(root, "bucket_bytes", stack.bucket);
  read_bucket(root, "bucket_bytes_per_rank", stack.bucket_per_rank);
  root.finish();
  return stack;
}

}  // namespace foreplan
