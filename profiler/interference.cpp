#include "profiler/interference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "profiler/op_sequence.hpp"

namespace foreplan {
namespace {

constexpr DeviceId kDevice{0};
constexpr int kLeast = 6;   ///< tasks of the side whose tasks are longer
constexpr int kMost = 200;  ///< tasks of the other side

/// How often each side runs in one graph.
struct Counts {
  int compute = 0, communication = 0;
};

OpKey reduction_key(const Communication& communication) {
  return {.op = "accumulate", .shape = {std::max<std::int64_t>(1, communication.bytes.count / 4)}};
}

BufferRange block(TaskGraphBuilder& builder, DeviceId device, Bytes bytes) {
  const BufferId id = builder.add_buffer({.device = device,
                                          .bytes = bytes,
                                          .category = BufferCategory::workspace,
                                          .persistent = true});
  return {.buffer = id, .offset = {}, .bytes = bytes};
}

void add_communication(TaskGraphBuilder& builder, const Communication& one, int count) {
  if (one.kind == Communication::Kind::reduction) {
    const OpKey key = reduction_key(one);
    OperandPools pools(builder, kDevice, {&key, 1}, {});
    for (int i = 0; i < count; ++i) pools.add(builder, key, kCollectiveStream);
    return;
  }
  const BufferRange from = block(builder, one.source, one.bytes);
  const BufferRange to = block(builder, kDevice, one.bytes);
  for (int i = 0; i < count; ++i) {
    builder.add({.kind = TaskKind::transfer,
                 .device = kDevice,
                 .stream = kCopyInStream,
                 .source = one.source,
                 .bytes = one.bytes,
                 .reads = {from},
                 .writes = {to}});
  }
}

TaskGraph both(int devices, const OpKey& compute, const Communication& communication,
               const Counts& counts) {
  TaskGraphBuilder builder(devices);
  if (counts.compute > 0) {
    OperandPools pools(builder, kDevice, {&compute, 1}, {});
    for (int i = 0; i < counts.compute; ++i) pools.add(builder, compute, kComputeStream);
  }
  if (counts.communication > 0) add_communication(builder, communication, counts.communication);
  return std::move(builder).build();
}

/// Sum and number of the times of one side's tasks.
struct Side {
  Duration sum{};
  std::int64_t count = 0;
  Duration mean() const { return count > 0 ? sum / count : Duration{}; }
};
using Sides = std::array<Side, 2>;  ///< compute, communication

struct Span {
  Duration begin = Duration::max(), end{};
};

/// Adds a step's tasks to their sides: those within the other side's busy time, or all.
void add_step(const TaskGraph& graph, const Timeline& timeline, bool within_other, Sides& sides) {
  std::array<Span, 2> busy;
  const auto side = [&](std::size_t t) { return graph.stream[t] == kComputeStream ? 0U : 1U; };
  for (std::size_t t = 0; t < graph.size(); ++t) {
    Span& span = busy[side(t)];
    span.begin = std::min(span.begin, timeline.start[t]);
    span.end = std::max(span.end, timeline.finish[t]);
  }
  for (std::size_t t = 0; t < graph.size(); ++t) {
    const Span& other = busy[1 - side(t)];
    const bool inside = timeline.start[t] >= other.begin && timeline.finish[t] <= other.end;
    if (within_other && !inside) continue;
    Side& one = sides[side(t)];
    one.sum += timeline.finish[t] - timeline.start[t];
    ++one.count;
  }
}

Sides run(Session& session, const TaskGraph& graph, bool within_other, int steps) {
  const std::size_t loaded = session.load(graph);
  session.step(loaded);
  Sides sides;
  for (int i = 0; i < steps; ++i) {
    add_step(graph, session.step(loaded).timeline, within_other, sides);
  }
  session.unload(loaded);
  return sides;
}

/// So often that both sides take about as long.
Counts balanced(Duration compute, Duration communication) {
  const auto times = [](Duration longer, Duration shorter) {
    const auto ratio = kLeast * longer / std::max(shorter, Duration{1});
    return static_cast<int>(std::clamp<std::int64_t>(ratio, kLeast, kMost));
  };
  if (compute > communication) return {kLeast, times(compute, communication)};
  return {times(communication, compute), kLeast};
}

double ratio(const Side& beside, const Side& alone) {
  if (beside.count == 0 || alone.mean() == Duration{}) return 1;
  return seconds(beside.mean()) / seconds(alone.mean());
}

std::string described(const Communication& one) {
  if (one.kind == Communication::Kind::reduction) return format(reduction_key(one));
  return fmt::format("copy {} {}->{}", format(one.bytes), static_cast<int>(one.source),
                     static_cast<int>(kDevice));
}

}  // namespace

Interference measure_interference(Session& session, const OpKey& compute,
                                  const Communication& communication, int steps) {
  const auto measure = [&](const Counts& counts, bool within_other) {
    return run(session, both(session.devices(), compute, communication, counts), within_other,
               steps);
  };
  const Side compute_alone = measure({kLeast, 0}, false)[0];
  const Side other_alone = measure({0, kLeast}, false)[1];
  const Sides beside = measure(balanced(compute_alone.mean(), other_alone.mean()), true);
  return {.compute = format(compute),
          .communication = described(communication),
          .slowdown = ratio(beside[0], compute_alone),
          .communication_slowdown = ratio(beside[1], other_alone),
          .samples = beside[0].count + beside[1].count};
}

}  // namespace foreplan
