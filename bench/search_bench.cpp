// Whole searches, to gap 0: large networks on large clusters, two kinds of nodes, and how the cost grows with
// layers and devices.

#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

#include "models/model_io.hpp"
#include "planner/search.hpp"
#include "sim/cluster_io.hpp"
#include "sim/roofline.hpp"

namespace foreplan {
namespace {

std::filesystem::path data() { return std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models"; }

/// `nodes` 0: as many as the file says.
Cluster cluster(const std::string& name, int nodes) {
  return read_cluster(
      data() / ("clusters/" + name + ".json"),
      [](const std::string& device) {
        return read_device(data() / ("devices/" + device + ".json"));
      },
      nodes);
}

struct Asked {
  const char* model;
  const char* cluster;
  int nodes = 0;
  std::int64_t batch = 0, sequence = 0;
  DType precision = DType::bf16;
};

void run(benchmark::State& state, const OpGraph& model, const Cluster& devices,
         const Asked& asked) {
  const RooflineModel costs;
  const Task task{.model = model,
                  .cluster = devices,
                  .costs = costs,
                  .global_batch = asked.batch,
                  .optimizer = Optimizer::adam,
                  .lengths = {.source = asked.sequence, .target = asked.sequence},
                  .precision = asked.precision};
  Certificate proof;
  for (auto _ : state) {
    proof = plan(task, {.threads = static_cast<int>(state.range(0))}).certificate;
  }
  state.counters["strategies"] = static_cast<double>(proof.strategies);
  state.counters["simulated"] = static_cast<double>(proof.simulated);
  state.counters["gap"] = proof.gap;
}

void search(benchmark::State& state, const Asked& asked) {
  const OpGraph model = read_model(data() / ("zoo/" + std::string(asked.model) + ".json"));
  run(state, model, cluster(asked.cluster, asked.nodes), asked);
}

BENCHMARK_CAPTURE(search, gpt3_175b_on_512, Asked{"gpt3-175b", "dgx-a100", 64, 512, 2048})
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(search, megatron_530b_on_2240,
                  Asked{"megatron-530b", "dgx-a100", 280, 2240, 2048})
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(search, llama_405b_on_16384, Asked{"llama3.1-405b", "dgx-h100", 2048, 2048, 8192})
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(search, llama2_7b_on_two_kinds,
                  Asked{"llama2-7b", "a100-v100-pair", 0, 64, 2048, DType::fp16})
    ->ArgName("threads")
    ->Arg(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

/// Llama 2 7B on 8 to 16,384 devices.
void by_devices(benchmark::State& state) {
  const OpGraph model = read_model(data() / "zoo/llama2-7b.json");
  const auto nodes = static_cast<int>(state.range(1));
  run(state, model, cluster("dgx-a100", nodes), {"", "", 0, 2048, 4096});
}
BENCHMARK(by_devices)
    ->ArgNames({"threads", "nodes"})
    ->Args({1, 1})
    ->Args({1, 8})
    ->Args({1, 64})
    ->Args({1, 512})
    ->Args({1, 2048})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace foreplan
