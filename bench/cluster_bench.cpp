// Reading a cluster of many nodes, its size in memory, and its routes.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include "tools/resources.hpp"

namespace foreplan {
namespace {

std::string name_of(std::int64_t nodes) { return "dgx-a100x" + std::to_string(nodes); }

/// Eight devices a node; `MB` is what one such cluster keeps allocated.
void reading(benchmark::State& state) {
  const std::string name = name_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(load_cluster(name).devices());
  const std::size_t before = mallinfo2().uordblks;
  const Cluster cluster = load_cluster(name);
  state.counters["MB"] = static_cast<double>(mallinfo2().uordblks - before) / 1e6;
  state.counters["devices"] = cluster.devices();
}
BENCHMARK(reading)->Arg(1)->Arg(128)->Arg(2048)->Unit(benchmark::kMillisecond);

/// From each device to one `state.range(1)` further on: 1 stays in most nodes, 8 goes to the next.
void route(benchmark::State& state) {
  const Cluster cluster = load_cluster(name_of(state.range(0)));
  int from = 0;
  for (auto _ : state) {
    const int to = (from + static_cast<int>(state.range(1))) % cluster.devices();
    benchmark::DoNotOptimize(cluster.route(DeviceId{from}, DeviceId{to}).size());
    from = (from + 1) % cluster.devices();
  }
}
BENCHMARK(route)->Args({2, 8})->Args({2048, 1})->Args({2048, 8})->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace foreplan
