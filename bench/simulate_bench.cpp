// Tasks a second: building a graph, replaying it, and simulating it with links that are shared.

#include <benchmark/benchmark.h>

#include "sim/cost_model.hpp"
#include "sim/roofline.hpp"
#include "sim/simulate.hpp"

namespace foreplan {
namespace {

constexpr int kDevices = 64;

DeviceSpec device() {
  return {.name = "bench",
          .memory = 80_GB,
          .peak = {{DType::fp32, 100_TFLOPps}},
          .memory_bandwidth = 1000_GBps,
          .launch_overhead = Duration(4'000'000)};
}

/// Nodes of 8 devices around a switch each; the switches around another, by links twice as fast, so
/// that transfers between nodes compete.
Cluster cluster() {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  const int nodes = kDevices / 8;
  for (int d = 0; d < kDevices; ++d) {
    vertices.push_back({.id = "d", .kind = VertexKind::device, .spec = 0});
    links.push_back({VertexId{d}, VertexId{kDevices + d / 8}, 100_GBps, Duration(1'000'000)});
  }
  for (int n = 0; n <= nodes; ++n) vertices.push_back({"s", VertexKind::network_switch});
  for (int n = 0; n < nodes; ++n) {
    links.push_back(
        {VertexId{kDevices + n}, VertexId{kDevices + nodes}, 200_GBps, Duration(2'000'000)});
  }
  return {"bench", {device()}, std::move(vertices), std::move(links)};
}

/// Steps in which every device computes, its work a little different from the others', and then
/// pulls from a device some places on.
TaskGraphBuilder draw(int steps) {
  TaskGraphBuilder builder(kDevices);
  std::vector<TaskId> before(kDevices);
  for (int step = 0; step < steps; ++step) {
    std::vector<TaskId> now;
    for (int d = 0; d < kDevices; ++d) {
      const int work = 1 + (7 * d + 3 * step) % 50;
      const OpId op = builder.add_op({.key = {.op = "linear", .shape = {work, 1024, 1024}},
                                      .flops = {work * 2e8},
                                      .traffic = Bytes{work * 8'000}});
      std::vector<TaskId> after;
      if (step > 0) after.push_back(before[static_cast<std::size_t>(d)]);
      now.push_back(builder.add(
          {.device = DeviceId{d}, .op = op, .micro_batch = step, .after = std::move(after)}));
    }
    for (int d = 0; d < kDevices; ++d) {
      const int source = (d + 1 + 5 * (step % 4)) % kDevices;
      before[static_cast<std::size_t>(d)] =
          builder.add({.kind = TaskKind::transfer,
                       .device = DeviceId{d},
                       .stream = kCopyInStream,
                       .source = DeviceId{source},
                       .bytes = Bytes{1'000'000 + 10'000 * d},
                       .micro_batch = step,
                       .after = {now[static_cast<std::size_t>(source)]}});
    }
  }
  return builder;
}

void count_tasks(benchmark::State& state, std::size_t tasks) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(tasks));
}

void BM_Build(benchmark::State& state) {
  std::size_t tasks = 0;
  for (auto _ : state) {
    const TaskGraph graph = draw(static_cast<int>(state.range(0))).build();
    tasks = graph.size();
    benchmark::DoNotOptimize(graph.order.data());
  }
  count_tasks(state, tasks);
}
BENCHMARK(BM_Build)->Arg(10)->Arg(1000)->Unit(benchmark::kMillisecond);

void BM_Cost(benchmark::State& state) {
  const TaskGraph graph = draw(static_cast<int>(state.range(0))).build();
  const Cluster on = cluster();
  for (auto _ : state) benchmark::DoNotOptimize(cost(graph, on, RooflineModel()));
  count_tasks(state, graph.size());
}
BENCHMARK(BM_Cost)->Arg(1000)->Unit(benchmark::kMillisecond);

void BM_Replay(benchmark::State& state) {
  const TaskGraph graph = draw(static_cast<int>(state.range(0))).build();
  Costs costs = cost(graph, cluster(), RooflineModel());
  for (Bytes& flow : costs.flow) flow = {};
  for (auto _ : state) benchmark::DoNotOptimize(replay(graph, costs));
  count_tasks(state, graph.size());
}
BENCHMARK(BM_Replay)->Arg(10)->Arg(1000)->Unit(benchmark::kMillisecond);

/// Half of the tasks are flows, each of which begins and ends: as many events as tasks.
void BM_SimulateWithContention(benchmark::State& state) {
  const TaskGraph graph = draw(static_cast<int>(state.range(0))).build();
  const Cluster on = cluster();
  const Costs costs = cost(graph, on, RooflineModel());
  for (auto _ : state) benchmark::DoNotOptimize(simulate(graph, costs, on));
  count_tasks(state, graph.size());
}
BENCHMARK(BM_SimulateWithContention)->Arg(10)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foreplan
