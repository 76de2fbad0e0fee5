// Tasks lowered a second, one estimate, and a whole search.

#include <benchmark/benchmark.h>

#include <filesystem>

#include "models/model_io.hpp"
#include "planner/folded_step.hpp"
#include "planner/search.hpp"
#include "sim/cluster_io.hpp"
#include "sim/roofline.hpp"

namespace foreplan {
namespace {

OpGraph model() {
  return read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo/mlp-4x1024.json");
}

/// Eight equal devices around one switch.
Cluster cluster() {
  constexpr int kDevices = 8;
  const DeviceSpec device{.name = "bench",
                          .memory = 80_GB,
                          .peak = {{DType::fp32, 20_TFLOPps}},
                          .memory_bandwidth = 2000_GBps,
                          .launch_overhead = Duration(4'000'000),
                          .source = "made up"};
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  for (int d = 0; d < kDevices; ++d) {
    vertices.push_back({.id = "d" + std::to_string(d), .kind = VertexKind::device, .spec = 0});
    links.push_back({VertexId{d}, VertexId{kDevices}, 100_GBps, Duration(1'000'000)});
  }
  vertices.push_back({.id = "switch", .kind = VertexKind::network_switch});
  return {"bench", {device}, std::move(vertices), std::move(links)};
}

const Strategy kStrategy{.dp = 2, .pp = 2, .micro_batch = 16, .layers = {4, 3}};
constexpr std::int64_t kBatch = 1024;  // 32 micro-batches a rank

/// 128 nodes of eight A100, and GPT-3 175B (12,288 wide, 96 layers) on them.
Cluster dgx_a100x128() {
  return read_cluster(
      std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/clusters/dgx-a100.json",
      [](const std::string& name) {
        return read_device(std::filesystem::path(FOREPLAN_SOURCE_DIR) /
                           ("models/devices/" + name + ".json"));
      },
      128);
}

struct Gpt3 {
  OpGraph model =
      read_model(std::filesystem::path(FOREPLAN_SOURCE_DIR) / "models/zoo/gpt3-175b.json");
  Cluster cluster = dgx_a100x128();
  RooflineModel costs;
  Task task{.model = model,
            .cluster = cluster,
            .costs = costs,
            .global_batch = 1536,
            .optimizer = Optimizer::adam,
            .lengths = {.source = 2048},
            .precision = DType::bf16};
  Strategy strategy = parse_strategy("tp=8,pp=8,dp=16,vpp=3,micro_batch=1");
};

void folded_lowering(benchmark::State& state) {
  const Gpt3 gpt;
  for (auto _ : state) benchmark::DoNotOptimize(FoldedStep(gpt.task, gpt.strategy));
}

/// What a caching allocator reserves on the first stage, whose micro-batches in flight are the most.
void folded_reserved(benchmark::State& state) {
  Gpt3 gpt;
  gpt.task.global_batch = 16 * state.range(0);
  const FoldedStep step(gpt.task, gpt.strategy);
  for (auto _ : state) benchmark::DoNotOptimize(step.allocator_stats(0));
}
BENCHMARK(folded_reserved)->Arg(24)->Arg(96)->Arg(1024)->Unit(benchmark::kMicrosecond);

/// Lowered once, priced and simulated again and again.
void folded_estimate(benchmark::State& state) {
  Gpt3 gpt;
  gpt.task.global_batch = 16 * state.range(0);
  const FoldedStep step(gpt.task, gpt.strategy);
  FoldedStep::Workspace workspace;
  for (auto _ : state) benchmark::DoNotOptimize(step.estimate(gpt.costs, workspace));
  state.counters["estimates/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void lowering(benchmark::State& state) {
  const OpGraph network = model();
  std::size_t tasks = 0;
  for (auto _ : state) {
    const TaskGraph graph = lower(network, kStrategy, kBatch, {});
    tasks = graph.size();
    benchmark::DoNotOptimize(tasks);
  }
  state.counters["tasks"] = static_cast<double>(tasks);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(tasks));
}
BENCHMARK(folded_lowering)->Unit(benchmark::kMicrosecond);
BENCHMARK(folded_estimate)->Arg(24)->Arg(96)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(lowering)->Unit(benchmark::kMillisecond);

void one_estimate(benchmark::State& state) {
  const OpGraph network = model();
  const Cluster devices = cluster();
  const RooflineModel costs;
  const Task task{network, devices, costs, kBatch};
  for (auto _ : state) benchmark::DoNotOptimize(estimate(task, kStrategy).step_time);
}
BENCHMARK(one_estimate)->Unit(benchmark::kMillisecond);

/// Everything on 8 devices; items are strategies simulated.
void search(benchmark::State& state) {
  const OpGraph network = model();
  const Cluster devices = cluster();
  const RooflineModel costs;
  const Task task{network, devices, costs, 64};
  std::int64_t simulated = 0;
  for (auto _ : state) simulated += plan(task, {}).certificate.simulated;
  state.SetItemsProcessed(simulated);
}
BENCHMARK(search)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foreplan
