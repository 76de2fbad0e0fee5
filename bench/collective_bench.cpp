// What a collective costs to price and to expand.
#include <benchmark/benchmark.h>

#include <vector>

#include "sim/collective_cost.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;

/// 16 nodes of 8 behind 8 NICs, or `one_level`: one rank a node.
GroupPlacement cluster(bool one_level) {
  return {.grid = one_level ? GroupGrid{1, 16} : GroupGrid{8, 16},
          .intra = {2us, 240_GBps},
          .inter = {10us, 25_GBps},
          .nics = one_level ? 1 : 8,
          .nic = 25_GBps};
}

/// Sizes that differ from call to call, so that nothing is hoisted.
constexpr std::int64_t kSizes = 1024;

void price(benchmark::State& state, CollectiveAlgorithm algorithm, const GroupPlacement& placement,
           const CollectiveTuning& tuning) {
  std::int64_t size = 0;
  for (auto _ : state) {
    size = (size + 1) % kSizes;
    benchmark::DoNotOptimize(collective_time(CollectiveKind::all_reduce, algorithm,
                                             Bytes{(size + 1) << 16}, placement, tuning));
  }
}

void choose(benchmark::State& state) {
  const GroupPlacement placement = cluster(false);
  std::int64_t size = 0;
  for (auto _ : state) {
    size = (size + 1) % kSizes;
    benchmark::DoNotOptimize(
        best_algorithm(CollectiveKind::all_reduce, Bytes{(size + 1) << 16}, placement));
  }
}

/// Time an expanded task; the graph's own building is not in it.
void expand(benchmark::State& state, CollectiveAlgorithm algorithm, int ranks, int per_node) {
  CollectiveSpec spec{.algorithm = algorithm, .bytes = 64_MB, .ranks_per_node = per_node};
  for (int i = 0; i < ranks; ++i) spec.group.push_back(DeviceId{i});
  std::int64_t tasks = 0;
  for (auto _ : state) {
    TaskGraphBuilder builder(ranks);
    benchmark::DoNotOptimize(expand_collective(builder, spec));
    tasks += static_cast<std::int64_t>(builder.size());
  }
  state.SetItemsProcessed(tasks);
}

using Algorithm = CollectiveAlgorithm;
BENCHMARK_CAPTURE(price, ring, Algorithm::ring, cluster(false), CollectiveTuning{});
BENCHMARK_CAPTURE(price, ring_8_channels, Algorithm::ring, cluster(false), {.channels = 8});
BENCHMARK_CAPTURE(price, direct, Algorithm::direct, cluster(false), CollectiveTuning{});
BENCHMARK_CAPTURE(price, tree, Algorithm::tree, cluster(false), CollectiveTuning{});
BENCHMARK_CAPTURE(price, recursive_doubling, Algorithm::recursive_doubling, cluster(false),
                  CollectiveTuning{});
BENCHMARK_CAPTURE(price, halving_doubling, Algorithm::halving_doubling, cluster(false),
                  CollectiveTuning{});
BENCHMARK_CAPTURE(price, hierarchical, Algorithm::hierarchical, cluster(false), CollectiveTuning{});
BENCHMARK_CAPTURE(price, double_tree_16_chunks, Algorithm::double_tree, cluster(true),
                  {.chunks = 16});
BENCHMARK_CAPTURE(price, double_tree_best_chunks, Algorithm::double_tree, cluster(true),
                  {.chunks = 0});
BENCHMARK(choose);
BENCHMARK_CAPTURE(expand, ring_128, Algorithm::ring, 128, 8);
BENCHMARK_CAPTURE(expand, direct_128, Algorithm::direct, 128, 8);
BENCHMARK_CAPTURE(expand, halving_doubling_128, Algorithm::halving_doubling, 128, 8);
BENCHMARK_CAPTURE(expand, hierarchical_128, Algorithm::hierarchical, 128, 8);
BENCHMARK_CAPTURE(expand, tree_128, Algorithm::tree, 128, 8);

}  // namespace
}  // namespace foreplan
