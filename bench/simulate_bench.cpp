// Building a graph, pricing it, replaying it, and simulating it with links that are shared. Counters
// tell their unit: per_task and per_event are seconds, as 2.4ns. What allocates megabytes each time
// spends half of its time on fresh pages, unless MALLOC_MMAP_THRESHOLD_=33554432 and
// MALLOC_TRIM_THRESHOLD_=268435456 are in the environment.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include "sim/cost_model.hpp"
#include "sim/engine.hpp"
#include "sim/perturbation.hpp"
#include "sim/replayer.hpp"
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

/// The same graph by one who interns its ops once and keeps its own lists.
TaskGraph draw_flat(int steps) {
  TaskGraphBuilder builder(kDevices);
  std::vector<OpId> ops;
  for (int work = 1; work <= 50; ++work) {
    ops.push_back(builder.add_op({.key = {.op = "linear", .shape = {work, 1024, 1024}},
                                  .flops = {work * 2e8},
                                  .traffic = Bytes{work * 8'000}}));
  }
  std::vector<TaskId> before(kDevices), now(kDevices);
  for (int step = 0; step < steps; ++step) {
    for (int d = 0; d < kDevices; ++d) {
      const auto at = static_cast<std::size_t>(d);
      now[at] = builder.append({.device = DeviceId{d},
                                .op = ops[static_cast<std::size_t>((7 * d + 3 * step) % 50)],
                                .micro_batch = step,
                                .after = std::span(&before[at], step > 0 ? 1 : 0)});
    }
    for (int d = 0; d < kDevices; ++d) {
      const int source = (d + 1 + 5 * (step % 4)) % kDevices;
      before[static_cast<std::size_t>(d)] =
          builder.append({.kind = TaskKind::transfer,
                          .device = DeviceId{d},
                          .stream = kCopyInStream,
                          .source = DeviceId{source},
                          .bytes = Bytes{1'000'000 + 10'000 * d},
                          .micro_batch = step,
                          .after = std::span(&now[static_cast<std::size_t>(source)], 1)});
    }
  }
  return std::move(builder).build();
}

/// Reports the time of one of `items` that each iteration has.
void report(benchmark::State& state, const char* name, std::int64_t items) {
  state.counters[name] =
      benchmark::Counter(static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
}

void report_tasks(benchmark::State& state, const TaskGraph& graph) {
  report(state, "per_task", static_cast<std::int64_t>(graph.size()));
}

int steps_of(const benchmark::State& state) { return static_cast<int>(state.range(0)); }

/// A graph and what it costs; without flows it is replayed.
struct Priced {
  TaskGraph graph;
  Cluster cluster;
  Costs costs;
};

Priced priced(int steps, bool flows) {
  TaskGraph graph = draw_flat(steps);
  Cluster on = cluster();
  Costs costs = cost(graph, on, RooflineModel());
  if (!flows) costs.flow.assign(graph.size(), Bytes{});
  return {std::move(graph), std::move(on), std::move(costs)};
}

/// Every task with an op to intern and a list of its own.
void BM_BuildGraph(benchmark::State& state) {
  TaskGraph graph;
  for (auto _ : state) {
    graph = draw(steps_of(state)).build();
    benchmark::DoNotOptimize(graph.order.data());
  }
  report_tasks(state, graph);
}
BENCHMARK(BM_BuildGraph)->ArgName("steps")->Arg(10)->Arg(1000);

/// Checks included, as in all that build.
void BM_BuildGraphByAppending(benchmark::State& state) {
  TaskGraph graph;
  for (auto _ : state) {
    graph = draw_flat(steps_of(state));
    benchmark::DoNotOptimize(graph.order.data());
  }
  report_tasks(state, graph);
}
BENCHMARK(BM_BuildGraphByAppending)->ArgName("steps")->Arg(10)->Arg(1000);

void BM_CostGraph(benchmark::State& state) {
  const Priced p = priced(steps_of(state), true);
  for (auto _ : state) benchmark::DoNotOptimize(cost(p.graph, p.cluster, RooflineModel()));
  report_tasks(state, p.graph);
}
BENCHMARK(BM_CostGraph)->ArgName("steps")->Arg(10)->Arg(1000);

/// A graph that is replayed once.
void BM_ReplayOnce(benchmark::State& state) {
  const Priced p = priced(steps_of(state), false);
  for (auto _ : state) benchmark::DoNotOptimize(replay(p.graph, p.costs));
  report_tasks(state, p.graph);
}
BENCHMARK(BM_ReplayOnce)->ArgName("steps")->Arg(10)->Arg(1000);

void BM_CompileReplayer(benchmark::State& state) {
  const Priced p = priced(steps_of(state), false);
  for (auto _ : state) benchmark::DoNotOptimize(Replayer(p.graph));
  report_tasks(state, p.graph);
}
BENCHMARK(BM_CompileReplayer)->ArgName("steps")->Arg(1000);

void BM_ReplayerMakespan(benchmark::State& state) {
  const Priced p = priced(steps_of(state), false);
  Replayer replayer(p.graph);
  for (auto _ : state) benchmark::DoNotOptimize(replayer.makespan(p.costs));
  report_tasks(state, p.graph);
}
BENCHMARK(BM_ReplayerMakespan)->ArgName("steps")->Arg(10)->Arg(1000);

void BM_ReplayerTimeline(benchmark::State& state) {
  const Priced p = priced(steps_of(state), false);
  Replayer replayer(p.graph);
  Timeline timeline;
  for (auto _ : state) replayer.replay(p.costs, timeline);
  report_tasks(state, p.graph);
}
BENCHMARK(BM_ReplayerTimeline)->ArgName("steps")->Arg(10)->Arg(1000);

/// Half of the tasks are flows, each of which begins and ends: as many events as tasks.
void BM_SimulateOnce(benchmark::State& state) {
  const Priced p = priced(steps_of(state), true);
  for (auto _ : state) benchmark::DoNotOptimize(simulate(p.graph, p.costs, p.cluster));
  report(state, "per_event", static_cast<std::int64_t>(p.graph.size()));
}
BENCHMARK(BM_SimulateOnce)->ArgName("steps")->Arg(10)->Arg(1000);

void BM_EngineRun(benchmark::State& state) {
  const Priced p = priced(steps_of(state), true);
  Engine engine(p.graph, p.cluster);
  SimulationResult result;
  for (auto _ : state) engine.run(p.costs, result);
  report(state, "per_event", engine.events());
  state.counters["events_per_s"] = benchmark::Counter(
      static_cast<double>(engine.events()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(BM_EngineRun)->ArgName("steps")->Arg(10)->Arg(100)->Arg(1000);

void BM_Jitter(benchmark::State& state) {
  const Priced p = priced(100, false);
  for (auto _ : state) benchmark::DoNotOptimize(jittered(p.costs, {0.05, 1}, 1));
  report_tasks(state, p.graph);
}
BENCHMARK(BM_Jitter);

double live_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
}

/// Bytes a task that stay allocated: the graph, and what compiling and running it adds.
void BM_Memory(benchmark::State& state) {
  for (auto _ : state) {
    const double nothing = live_bytes();
    const Priced p = priced(steps_of(state), true);
    const double built = live_bytes();
    Engine engine(p.graph, p.cluster);
    SimulationResult result;
    engine.run(p.costs, result);
    const double run = live_bytes();
    const Replayer replayer(p.graph);
    const auto tasks = static_cast<double>(p.graph.size());
    state.counters["graph_and_costs_B_per_task"] = (built - nothing) / tasks;
    state.counters["engine_and_result_B_per_task"] = (run - built) / tasks;
    state.counters["replayer_B_per_task"] = (live_bytes() - run) / tasks;
  }
}
BENCHMARK(BM_Memory)->ArgName("steps")->Arg(1000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foreplan
