#include "profiler/copy_patterns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "profiler/samples.hpp"

namespace foreplan {
namespace {

constexpr Bytes kSmallest{4096};
constexpr int kRepeats = 5;

using Pair = ProfiledCopies::Pair;

Pair pair_of(int source, int destination) { return {DeviceId{source}, DeviceId{destination}}; }

BufferRange block(TaskGraphBuilder& builder, DeviceId device, Bytes bytes) {
  const BufferId id = builder.add_buffer({.device = device,
                                          .bytes = bytes,
                                          .category = BufferCategory::workspace,
                                          .persistent = true});
  return {.buffer = id, .offset = {}, .bytes = bytes};
}

}  // namespace

std::vector<CopyPattern> lone_copies(int devices) {
  std::vector<CopyPattern> patterns;
  for (int a = 0; a < devices; ++a) {
    for (int b = 0; b < devices; ++b) patterns.push_back({"one way", {pair_of(a, b)}});
  }
  return patterns;
}

std::vector<CopyPattern> copies_together(int devices) {
  std::vector<CopyPattern> patterns;
  for (int a = 0; a < devices; ++a) {
    for (int b = a + 1; b < devices; ++b) {
      patterns.push_back({"both ways", {pair_of(a, b), pair_of(b, a)}});
    }
  }
  if (devices < 3) return patterns;
  CopyPattern out{"one to all", {}}, in{"all to one", {}}, ring{"ring", {}};
  for (int i = 1; i < devices; ++i) {
    out.pairs.push_back(pair_of(0, i));
    in.pairs.push_back(pair_of(i, 0));
  }
  for (int i = 0; i < devices; ++i) ring.pairs.push_back(pair_of(i, (i + 1) % devices));
  patterns.insert(patterns.end(), {out, in, ring});
  if (devices < 4) return patterns;
  CopyPattern pairs{"pairs", {}};
  for (int i = 0; i + 1 < devices; i += 2) pairs.pairs.push_back(pair_of(i, i + 1));
  patterns.push_back(pairs);
  return patterns;
}

std::vector<Bytes> copy_sizes(Bytes most) {
  std::vector<Bytes> sizes;
  for (Bytes size = kSmallest; size < most; size = size * 4) sizes.push_back(size);
  sizes.push_back(most);
  return sizes;
}

TaskGraph lone_copy_graph(int devices, const Pair& pair, const std::vector<Bytes>& sizes,
                          int repeats) {
  TaskGraphBuilder builder(devices);
  const Bytes most = *std::max_element(sizes.begin(), sizes.end());
  BufferRange from = block(builder, pair.source, most);
  BufferRange to = block(builder, pair.destination, most);
  for (const Bytes bytes : sizes) {
    from.bytes = to.bytes = bytes;
    for (int n = 0; n < repeats; ++n) {
      builder.add({.kind = TaskKind::transfer,
                   .device = pair.destination,
                   .stream = kCopyInStream,
                   .source = pair.source,
                   .bytes = bytes,
                   .reads = {from},
                   .writes = {to}});
    }
  }
  return std::move(builder).build();
}

TaskGraph pattern_graph(int devices, const CopyPattern& pattern, Bytes bytes, int repeats) {
  TaskGraphBuilder builder(devices);
  for (std::size_t i = 0; i < pattern.pairs.size(); ++i) {
    const Pair& pair = pattern.pairs[i];
    const BufferRange from = block(builder, pair.source, bytes);
    const BufferRange to = block(builder, pair.destination, bytes);
    const StreamId stream = builder.stream_named(fmt::format("copy {}", i));
    for (int n = 0; n < repeats; ++n) {
      builder.add({.kind = TaskKind::transfer,
                   .device = pair.destination,
                   .stream = stream,
                   .source = pair.source,
                   .bytes = bytes,
                   .reads = {from},
                   .writes = {to}});
    }
  }
  return std::move(builder).build();
}

ProfiledCopies measure_pattern(Session& session, const CopyPattern& pattern, Bytes bytes,
                               int steps) {
  const TaskGraph graph = pattern_graph(session.devices(), pattern, bytes, kRepeats);
  const std::size_t loaded = session.load(graph);
  session.step(loaded);
  SampleList times;
  for (int n = 0; n < steps; ++n) {
    const Timeline timeline = session.step(loaded).timeline;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      const std::size_t place = t % kRepeats;  // the pairs' copies follow each other
      if (place == 0 || place + 1 == kRepeats) continue;
      times.add(timeline.finish[t] - timeline.start[t], false);
    }
  }
  session.unload(loaded);
  return {.pairs = pattern.pairs, .bytes = bytes, .time = times.summary()};
}

}  // namespace foreplan
