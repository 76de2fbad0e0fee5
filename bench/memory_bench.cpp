// Calls of the caching allocator a second.

#include <benchmark/benchmark.h>

#include <array>
#include <deque>
#include <random>
#include <vector>

#include "sim/caching_allocator.hpp"

namespace foreplan {
namespace {

/// Micro-batches of a pipeline: each allocates the same tensors, the oldest of `live` frees them.
void allocator_pipeline(benchmark::State& state) {
  constexpr std::int64_t kMiB = 1 << 20;
  const std::array<Bytes, 8> sizes{Bytes{48 * kMiB}, Bytes{8192},       Bytes{18 * kMiB},
                                   Bytes{6 * kMiB},  Bytes{512 * 1024}, Bytes{24 * kMiB},
                                   Bytes{3 * kMiB},  Bytes{16384}};
  CachingAllocator allocator;
  std::deque<std::vector<CachingAllocator::Block>> live;
  for (auto _ : state) {
    if (live.size() == static_cast<std::size_t>(state.range(0))) {
      for (const auto block : live.front()) allocator.free(block);
      live.push_back(std::move(live.front()));
      live.pop_front();
      live.back().clear();
    } else {
      live.emplace_back();
    }
    for (const Bytes size : sizes) live.back().push_back(*allocator.allocate(size));
  }
  state.SetItemsProcessed(state.iterations() * 2 * static_cast<std::int64_t>(sizes.size()));
}
BENCHMARK(allocator_pipeline)->Arg(8)->Arg(64);

/// Random sizes up to 32 MiB, half of them below 1 MiB; items are calls, of allocate and free.
void allocator_random(benchmark::State& state) {
  std::mt19937 random(1);
  std::vector<Bytes> sizes;
  for (int i = 0; i < 4096; ++i) {
    const std::uint32_t limit = i % 2 == 0 ? 1U << 20 : 1U << 25;
    sizes.push_back({1 + static_cast<std::int64_t>(random() % limit)});
  }
  CachingAllocator allocator;
  std::vector<CachingAllocator::Block> live(static_cast<std::size_t>(state.range(0)),
                                            CachingAllocator::kNothing);
  std::size_t call = 0;
  for (auto _ : state) {
    CachingAllocator::Block& block = live[(call * 7919) % live.size()];
    allocator.free(block);
    block = *allocator.allocate(sizes[++call % sizes.size()]);
  }
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(allocator_random)->Arg(64)->Arg(1024)->Arg(16384);

}  // namespace
}  // namespace foreplan
