#include "sim/collective.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include "sim/collective_cost.hpp"
#include "sim/error.hpp"
#include "sim/roofline.hpp"
#include "sim/simulate.hpp"

namespace foreplan {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// One switch: 1 us and 100 GB/s from each to each.
GroupPlacement flat(int ranks) { return {.grid = {ranks, 1}, .intra = {1us, 100_GBps}}; }

template <typename Act>
std::string complaint(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::vector<DeviceId> first_devices(int count) {
  std::vector<DeviceId> group;
  for (int i = 0; i < count; ++i) group.push_back(DeviceId{i});
  return group;
}

TEST(RingChunk, CoversEveryElementOnceLargerPartsFirst) {
  // 7 = 3 + 2 + 2.
  EXPECT_EQ(ring_chunk(7, 3, 0).count, 3);
  EXPECT_EQ(ring_chunk(7, 3, 1).first, 3);
  EXPECT_EQ(ring_chunk(7, 3, 2).first, 5);
  for (int ranks = 1; ranks <= 6; ++ranks) {
    for (std::int64_t elements = 0; elements <= 13; ++elements) {
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const ChunkRange chunk = ring_chunk(elements, ranks, rank);
        EXPECT_EQ(chunk.first, next);
        EXPECT_LE(chunk.count, ring_chunk(elements, ranks, 0).count);
        EXPECT_GE(chunk.count, elements / ranks);
        next += chunk.count;
      }
      EXPECT_EQ(next, elements);
    }
  }
}

// Three ranks, 6 elements: 2 rounds of a pull and an add each, then 2 rounds of pulls, on 3 ranks.
TEST(ExpandCollective, AddsRoundByRoundWithStagingThatLivesFromPullToAdd) {
  TaskGraphBuilder builder(3);
  CollectiveSpec spec{.group = first_devices(3), .bytes = 24_B};
  for (const DeviceId device : spec.group) {
    const BufferId buffer =
        builder.add_buffer({.device = device, .bytes = 32_B, .persistent = true});
    spec.data.push_back({buffer, 8_B, 24_B});
  }
  expand_collective(builder, spec);
  const TaskGraph graph = std::move(builder).build();
  ASSERT_EQ(graph.size(), (2U * 2 + 2) * 3);
  // The first pull: rank 0 takes chunk (0 - 2) mod 3 = 1, elements 2 and 3, from rank 2.
  EXPECT_EQ(graph.kind[0], TaskKind::transfer);
  EXPECT_EQ(graph.device[0], DeviceId{0});
  EXPECT_EQ(graph.source[0], DeviceId{2});
  EXPECT_EQ(graph.bytes[0], 8_B);
  EXPECT_EQ(graph.reads[0][0].offset, 16_B);  // 8 + 2 * 4
  ASSERT_THAT(graph.allocates[0], SizeIs(1));
  const BufferId staging = graph.allocates[0][0];
  EXPECT_EQ(graph.buffers[index(staging)].category, BufferCategory::communication);
  EXPECT_EQ(graph.buffers[index(staging)].bytes, 8_B);
  EXPECT_THAT(graph.frees[1], ElementsAre(staging));
  const Op& add = graph.ops[index(graph.op[1])];
  EXPECT_EQ(add.key, (OpKey{.op = "accumulate", .shape = {2}}));
  EXPECT_EQ(add.flops.count, 2);  // one addition an element
  EXPECT_EQ(add.traffic, 24_B);   // reads x and y, writes y, of 4 bytes each
  EXPECT_EQ(graph.collective[0], 0);
  EXPECT_EQ(graph.collective[1], 0);
}

TEST(ExpandCollective, HasNoTasksForOneRank) {
  TaskGraphBuilder builder(1);
  const TaskId before = builder.add({.kind = TaskKind::host, .op = builder.add_op({})});
  const CollectiveTasks ring =
      expand_collective(builder, {.group = first_devices(1), .bytes = 1_MB, .after = {{before}}});
  EXPECT_EQ(builder.size(), 1U);
  EXPECT_THAT(ring.done, ElementsAre(ElementsAre(before)));
  EXPECT_THAT(ring.released, ElementsAre(IsEmpty()));
}

TEST(ExpandCollective, RefusesWhatHasNoMeaning) {
  TaskGraphBuilder builder(2);
  const auto adding = [&](CollectiveSpec spec) {
    return complaint([&] { expand_collective(builder, spec); });
  };
  EXPECT_THAT(adding({}), HasSubstr("expected at least one rank, got none"));
  EXPECT_THAT(adding({.group = first_devices(2), .bytes = 8_B, .after = {{}}}),
              HasSubstr("expected `after` for 2 ranks, got 1"));
  const BufferRange range{BufferId{0}, 0_B, 4_B};
  EXPECT_THAT(adding({.group = first_devices(2), .bytes = 8_B, .data = {range}}),
              HasSubstr("expected data of 2 ranks, got 1"));
  EXPECT_THAT(adding({.group = first_devices(2), .bytes = 8_B, .data = {range, range}}),
              HasSubstr("expected 8 bytes of data on each rank, got 4"));
  EXPECT_THAT(adding({.group = first_devices(2), .bytes = 6_B, .data = {range, range}}),
              HasSubstr("expected whole fp32 numbers, got 6 bytes"));
}

/// `count` devices around a switch: 1 us and 100 GB/s from one to another.
Cluster star(int count) {
  DeviceSpec spec;
  spec.memory_bandwidth = 1000_GBps;
  spec.peak[DType::fp32] = 1_TFLOPps;
  std::vector<Vertex> vertices{{"switch", VertexKind::network_switch, -1}};
  std::vector<Cluster::LinkSpec> links;
  for (int i = 0; i < count; ++i) {
    vertices.push_back({"d" + std::to_string(i), VertexKind::device, 0});
    links.push_back({VertexId{i + 1}, VertexId{0}, 100_GBps, 500ns, true});
  }
  return Cluster("star", {spec}, vertices, links);
}

Duration simulated(TaskGraphBuilder builder, const Cluster& cluster) {
  const TaskGraph graph = std::move(builder).build();
  return makespan(simulate(graph, cost(graph, cluster, RooflineModel{}), cluster).timeline);
}

// The hand-computed case again, 6 ms + 6 us, now by copies over links that nothing else uses.
TEST(ExpandCollective, TakesTheTimeOfTheFormulaWhereNothingCompetes) {
  const Cluster cluster = star(4);
  TaskGraphBuilder builder(4);
  expand_collective(builder, {.group = first_devices(4), .bytes = 400_MB});
  EXPECT_EQ(simulated(std::move(builder), cluster), 6ms + 6us);
}

TEST(ExpandCollective, TakesTheTimeOfTheFormulaForAnyKindAndNumberOfRanks) {
  const Cluster cluster = star(5);
  for (int ranks = 2; ranks <= 5; ++ranks) {
    const Bytes size = 60_MB;  // 2, 3, 4 and 5 divide it
    TaskGraphBuilder gather(5);
    expand_collective(
        gather, {.kind = CollectiveKind::all_gather, .group = first_devices(ranks), .bytes = size});
    EXPECT_EQ(
        simulated(std::move(gather), cluster),
        collective_time(CollectiveKind::all_gather, CollectiveAlgorithm::ring, size, flat(ranks)));
    TaskGraphBuilder reduce(5);
    expand_collective(reduce, {.group = first_devices(ranks), .bytes = size, .stream = kNoStream});
    EXPECT_EQ(
        simulated(std::move(reduce), cluster),
        collective_time(CollectiveKind::all_reduce, CollectiveAlgorithm::ring, size, flat(ranks)));
  }
}

// Pairwise: each of 3 rounds moves 400 MB / 4 from every rank to another: 3 (1 us + 1 ms).
TEST(AllToAll, TakesTheTimeOfItsRounds) {
  TaskGraphBuilder builder(4);
  expand_collective(
      builder, {.kind = CollectiveKind::all_to_all, .group = first_devices(4), .bytes = 400_MB});
  EXPECT_EQ(builder.size(), 12U);
  EXPECT_EQ(simulated(std::move(builder), star(4)), 3ms + 3us);
}

TEST(AllToAll, RefusesData) {
  TaskGraphBuilder builder(2);
  const BufferId buffer = builder.add_buffer({.bytes = 8_B, .persistent = true});
  const BufferRange data{buffer, 0_B, 8_B};
  EXPECT_THAT(complaint([&] {
                expand_collective(builder, {.kind = CollectiveKind::all_to_all,
                                            .group = first_devices(2),
                                            .bytes = 8_B,
                                            .data = {data, data}});
              }),
              HasSubstr("expected an all_to_all without data"));
}

Duration simulated(CollectiveKind kind, CollectiveAlgorithm algorithm, int ranks, Bytes bytes,
                   Duration latency) {
  std::vector<Vertex> vertices;
  std::vector<Cluster::LinkSpec> links;
  const DeviceSpec spec{.name = "d", .memory = 1_GB, .peak = {}, .memory_bandwidth = 1_GBps};
  for (int d = 0; d < ranks; ++d) {
    vertices.push_back({.id = std::to_string(d), .kind = VertexKind::device, .spec = 0});
    links.push_back({VertexId{d}, VertexId{ranks}, 100_GBps, latency / 2});
  }
  vertices.push_back({.id = "switch", .kind = VertexKind::network_switch});
  const Cluster cluster("star", {spec}, vertices, links);
  TaskGraphBuilder builder(ranks);
  expand_collective(builder, {.kind = kind,
                              .algorithm = algorithm,
                              .group = first_devices(ranks),
                              .bytes = bytes,
                              .stream = kNoStream});
  const TaskGraph graph = std::move(builder).build();
  return makespan(simulate(graph, cost(graph, cluster, RooflineModel{}), cluster).timeline);
}

// 4 ranks, 400 MB, in and out of a switch at 100 GB/s. A pull is told to wait for the rank's last one
// (kNoStream: by a dependency), so one chunk of 100 MB enters each rank at a time: 1 us + 1 ms, thrice
// for half of an all-reduce, as the ring. What differs is who waits for whom: nobody for a neighbour.
TEST(DirectCollective, TakesTheTimeOfTheRingWhereAllLinksAreEqual) {
  for (const auto algorithm : {CollectiveAlgorithm::ring, CollectiveAlgorithm::direct}) {
    EXPECT_EQ(simulated(CollectiveKind::all_gather, algorithm, 4, 400_MB, 1us), 3ms + 3us);
    EXPECT_EQ(simulated(CollectiveKind::all_reduce, algorithm, 4, 400_MB, 1us), 6ms + 6us);
  }
}

TEST(DirectCollective, PullsEachChunkFromItsOwner) {
  TaskGraphBuilder builder(3);
  const CollectiveTasks tasks =
      expand_collective(builder, {.kind = CollectiveKind::all_gather,
                                  .algorithm = CollectiveAlgorithm::direct,
                                  .group = first_devices(3),
                                  .bytes = 12_B});
  const TaskGraph graph = std::move(builder).build();
  ASSERT_EQ(graph.size(), 6U);
  std::vector<std::pair<int, int>> pairs;
  for (std::size_t i = 0; i < 6; ++i) {
    pairs.emplace_back(index(graph.source[i]), index(graph.device[i]));
  }
  EXPECT_THAT(pairs, ElementsAre(std::pair(2, 0), std::pair(0, 1), std::pair(1, 2), std::pair(1, 0),
                                 std::pair(2, 1), std::pair(0, 2)));
  // Both others read a rank's part: its memory is free when both have.
  EXPECT_THAT(tasks.released[0], ElementsAre(TaskId{1}, TaskId{5}));
}

}  // namespace
}  // namespace foreplan
