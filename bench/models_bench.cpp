#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

#include "models/huggingface.hpp"
#include "models/model_io.hpp"

namespace foreplan {
namespace {

std::filesystem::path zoo(const std::string& name) {
  return std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models" / "zoo" / (name + ".json");
}

TransformerShape shape_in_zoo(const std::string& name) {
  const JsonDocument document = JsonDocument::read(zoo(name));
  return huggingface_shape(document.value().object().required("huggingface").object(), name);
}

/// Llama 3.1 405B: 126 equal layers; DeepSeek-V3: two classes; GPT-Neo: 32 alternating layers.
void BuildTransformer(benchmark::State& state, const std::string& name) {
  const TransformerShape shape = shape_in_zoo(name);
  for (auto _ : state) benchmark::DoNotOptimize(build_transformer(shape));
}
BENCHMARK_CAPTURE(BuildTransformer, llama3_1_405b, "llama3.1-405b")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BuildTransformer, deepseek_v3, "deepseek-v3")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BuildTransformer, gpt_neo_2_7b, "gpt-neo-2.7b")->Unit(benchmark::kMicrosecond);

/// From the file on.
void ReadModel(benchmark::State& state, const std::string& name) {
  for (auto _ : state) benchmark::DoNotOptimize(read_model(zoo(name)));
}
BENCHMARK_CAPTURE(ReadModel, llama3_1_405b, "llama3.1-405b")->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace foreplan
