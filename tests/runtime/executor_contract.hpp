#pragma once

// What an Executor does on every Backend: included like backend_contract.hpp.

#include <tuple>

#include "runtime/executor.hpp"
#include "sim/collective.hpp"
#include "tests/runtime/backend_contract.hpp"

namespace foreplan {

class ExecutorContract : public OnBackend {};

/// The same on rings and direct exchanges.
class CollectiveContract
    : public testing::TestWithParam<std::tuple<BackendMaker, CollectiveAlgorithm>> {
 protected:
  void SetUp() override {
    if (const std::string why = maker().why_not(); !why.empty()) GTEST_SKIP() << why;
  }
  static const BackendMaker& maker() { return std::get<0>(GetParam()); }
  static CollectiveAlgorithm algorithm() { return std::get<1>(GetParam()); }
  static bool refused(CollectiveKind kind, int ranks) {
    return collective_refusal(kind, algorithm(), {ranks, 1}).has_value();
  }
};

inline std::string collective_name(
    const testing::TestParamInfo<std::tuple<BackendMaker, CollectiveAlgorithm>>& info) {
  return std::get<0>(info.param).name + "_" + std::string(name(std::get<1>(info.param)));
}

namespace {

Bytes floats(std::int64_t count) { return Bytes{4 * count}; }

std::vector<float> read(const Executor& executor, const BufferRange& range) {
  std::vector<float> values(static_cast<std::size_t>(range.bytes.count) / 4);
  executor.read(range, std::as_writable_bytes(std::span(values)));
  return values;
}

void write(Executor& executor, const BufferRange& range, const std::vector<float>& values) {
  executor.write(range, std::as_bytes(std::span(values)));
}

/// A collective on `ranks` devices.
struct Ring {
  CollectiveKind kind;
  int ranks;
  std::int64_t elements;
  StreamId stream = kCollectiveStream;
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::ring;
};

/// Runs a ring over data where rank r holds 100 r + i at element i, twice from the same start.
std::vector<std::vector<float>> run_ring(const BackendMaker& maker, const Ring& ring) {
  TaskGraphBuilder builder(ring.ranks);
  std::vector<BufferRange> data;
  std::vector<DeviceId> group;
  for (int rank = 0; rank < ring.ranks; ++rank) {
    group.push_back(DeviceId{rank});
    const Bytes size = floats(ring.elements);
    data.push_back({builder.add_buffer({.device = group.back(), .bytes = size, .persistent = true}),
                    Bytes{0}, size});
  }
  expand_collective(builder, {.kind = ring.kind,
                     .algorithm = ring.algorithm,
                     .group = group,
                     .bytes = floats(ring.elements),
                     .stream = ring.stream,
                     .data = data});
  const TaskGraph graph = std::move(builder).build();
  const std::unique_ptr<Backend> backend = maker.make(ring.ranks);
  Executor executor(graph, *backend);
  std::vector<std::vector<float>> result;
  for (int run = 0; run < 2; ++run) {
    result.clear();
    for (std::size_t rank = 0; rank < data.size(); ++rank) {
      std::vector<float> start;
      for (std::int64_t i = 0; i < ring.elements; ++i) {
        start.push_back(static_cast<float>(100 * static_cast<std::int64_t>(rank) + i));
      }
      write(executor, data[rank], start);
    }
    executor.step({});
    for (const BufferRange& range : data) result.push_back(read(executor, range));
  }
  return result;
}

// n ranks: sum over r of (100 r + i) = 100 n (n - 1) / 2 + n i; whole numbers, so exact. 13 elements
// divide evenly among none of 2, 3, 4; 2 elements leave ranks of 3 and 4 without a part.
TEST_P(CollectiveContract, AllReduceIsExactForWholeNumbers) {
  for (const int n : {1, 2, 3, 4}) {
    for (const std::int64_t elements : {2, 13, 1000}) {
      for (const StreamId stream : {kCollectiveStream, kNoStream}) {
        const auto result = run_ring(maker(), {CollectiveKind::all_reduce, n, elements, stream, algorithm()});
        for (const auto& rank : result) {
          for (std::size_t i = 0; i < rank.size(); ++i) {
            ASSERT_EQ(rank[i], static_cast<float>(50 * n * (n - 1) + n * static_cast<int>(i)));
          }
        }
      }
    }
  }
}

// Rank r's part is its own chunk of 100 r + i; afterwards all hold all chunks.
TEST_P(CollectiveContract, AllGatherCollectsTheParts) {
  for (const int n : {2, 3, 4}) {
    if (refused(CollectiveKind::all_gather, n)) continue;
    const auto result = run_ring(maker(), {CollectiveKind::all_gather, n, 13, kCollectiveStream, algorithm()});
    for (const auto& rank : result) {
      for (int owner = 0; owner < n; ++owner) {
        const ChunkRange chunk = ring_chunk(13, n, owner);
        for (std::int64_t i = chunk.first; i < chunk.first + chunk.count; ++i) {
          ASSERT_EQ(rank[static_cast<std::size_t>(i)], static_cast<float>(100 * owner + i));
        }
      }
    }
  }
}

TEST_P(CollectiveContract, ReduceScatterLeavesEachItsPart) {
  for (const int n : {2, 3, 4}) {
    if (refused(CollectiveKind::reduce_scatter, n)) continue;
    const auto result = run_ring(maker(), {CollectiveKind::reduce_scatter, n, 13, kCollectiveStream, algorithm()});
    for (int rank = 0; rank < n; ++rank) {
      const ChunkRange chunk = ring_chunk(13, n, rank);
      for (std::int64_t i = chunk.first; i < chunk.first + chunk.count; ++i) {
        ASSERT_EQ(result[static_cast<std::size_t>(rank)][static_cast<std::size_t>(i)],
                  static_cast<float>(50 * n * (n - 1) + n * i));
      }
    }
  }
}

/// Device 0 doubles x into a transient buffer; device 1 fetches it and adds x once more: 3 x.
class Pair {
 public:
  Pair() : builder_(2) {
    x = persistent(0), y = persistent(1);
    const BufferId twice = transient(0), fetched = transient(1);
    const OpId add =
        builder_.add_op({.key = {.op = "add", .shape = {4}}, .flops = {}, .traffic = {}});
    first = builder_.add({.op = add,
                          .reads = {x, x},
                          .writes = {{twice, Bytes{0}, floats(4)}},
                          .allocates = {twice}});
    second = builder_.add({.kind = TaskKind::transfer,
                           .device = DeviceId{1},
                           .stream = kCopyInStream,
                           .source = DeviceId{0},
                           .bytes = floats(4),
                           .after = {first},
                           .reads = {{twice, Bytes{0}, floats(4)}},
                           .writes = {{fetched, Bytes{0}, floats(4)}},
                           .allocates = {fetched},
                           .frees = {twice}});
    third = builder_.add({.device = DeviceId{1},
                          .op = add,
                          .after = {second},
                          .reads = {{fetched, Bytes{0}, floats(4)}, y},
                          .writes = {y},
                          .frees = {fetched}});
  }
  TaskGraph graph() && { return std::move(builder_).build(); }

  BufferRange x, y;
  TaskId first{}, second{}, third{};

 private:
  BufferRange persistent(int device) {
    return {
        builder_.add_buffer({.device = DeviceId{device}, .bytes = floats(4), .persistent = true}),
        Bytes{0}, floats(4)};
  }
  BufferId transient(int device) {
    return builder_.add_buffer({.device = DeviceId{device}, .bytes = floats(4)});
  }
  TaskGraphBuilder builder_;
};

TEST_P(ExecutorContract, RunsTasksAndCopiesAcrossDevices) {
  Pair pair;
  const BufferRange x = pair.x, y = pair.y;
  const TaskGraph graph = std::move(pair).graph();
  const std::unique_ptr<Backend> backend = GetParam().make(3);  // one more than needed
  Executor executor(graph, *backend);
  EXPECT_EQ(read(executor, y), (std::vector<float>{0, 0, 0, 0}));
  write(executor, x, {1, 2, 3, 4});
  write(executor, y, {10, 20, 30, 40});
  const MeasuredStep step = executor.step({});
  EXPECT_EQ(read(executor, y), (std::vector<float>{12, 24, 36, 48}));
  executor.step({});
  EXPECT_EQ(read(executor, y), (std::vector<float>{14, 28, 42, 56}));
  ASSERT_EQ(step.timeline.start.size(), 3U);
  EXPECT_GE(step.timeline.start[1] + GetParam().skew, step.timeline.finish[0]);
  EXPECT_GE(step.timeline.start[2] + GetParam().skew, step.timeline.finish[1]);
  EXPECT_EQ(step.disturbed.size(), 3U);
}

}  // namespace
}  // namespace foreplan
