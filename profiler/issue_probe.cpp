#include "profiler/issue_probe.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "models/op_cost.hpp"
#include "profiler/samples.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kFloat = 4;
constexpr std::int64_t kTiny = 16;
constexpr int kTriples = 64;  // streams take 1024 commands before they make the issuer wait
constexpr int kWarmUp = 2;
constexpr std::array kStreams{kComputeStream, kCopyInStream, kCopyOutStream};

BufferRange block(TaskGraphBuilder& builder, std::int64_t elements) {
  const Bytes bytes{kFloat * elements};
  const BufferId id = builder.add_buffer({.device = DeviceId{0},
                                          .bytes = bytes,
                                          .category = BufferCategory::workspace,
                                          .persistent = true});
  return {.buffer = id, .offset = {}, .bytes = bytes};
}

OpId copy_of(TaskGraphBuilder& builder, std::int64_t elements) {
  return builder.add_op(make_op({.op = "copy", .shape = {elements}}));
}

/// How long a step of each graph took to be handed out, per triple.
std::array<Duration, 3> issued(Session& session, const std::array<std::size_t, 3>& loaded) {
  std::array<Duration, 3> result{};
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    result[i] = session.step(loaded[i]).issued / kTriples;
  }
  return result;
}

}  // namespace

TaskGraph issue_graph(int triples, int consumers) {
  TaskGraphBuilder builder(1);
  const OpId tiny = copy_of(builder, kTiny);
  std::vector<std::pair<BufferRange, BufferRange>> blocks;
  for (std::size_t i = 0; i < kStreams.size(); ++i) {
    blocks.emplace_back(block(builder, kTiny), block(builder, kTiny));
  }
  for (int triple = 0; triple < triples; ++triple) {
    TaskId first{-1};
    for (std::size_t i = 0; i < kStreams.size(); ++i) {
      const bool consumes = i > 0 && static_cast<int>(i) <= consumers;
      const TaskId task =
          builder.add({.device = DeviceId{0},
                       .stream = kStreams[i],
                       .op = tiny,
                       .after = consumes ? std::vector{first} : std::vector<TaskId>{},
                       .reads = {blocks[i].first},
                       .writes = {blocks[i].second}});
      if (i == 0) first = task;
    }
  }
  return std::move(builder).build();
}

TaskGraph dependent_graph(int tasks, Bytes head_start) {
  TaskGraphBuilder builder(1);
  const std::int64_t head = std::max(kTiny, head_start.count / kFloat);
  const BufferRange from = block(builder, head), to = block(builder, head);
  const auto add = [&](std::int64_t elements) {
    const Bytes bytes{kFloat * elements};
    builder.add({.device = DeviceId{0},
                 .op = copy_of(builder, elements),
                 .reads = {{.buffer = from.buffer, .offset = {}, .bytes = bytes}},
                 .writes = {{.buffer = to.buffer, .offset = {}, .bytes = bytes}}});
  };
  add(head);
  for (int i = 0; i < tasks; ++i) add(kTiny);
  return std::move(builder).build();
}

std::optional<IssueSamples> measure_issue(Session& session, int steps) {
  std::array<std::size_t, 3> loaded{};
  for (int consumers = 0; consumers < 3; ++consumers) {
    loaded[static_cast<std::size_t>(consumers)] = session.load(issue_graph(kTriples, consumers));
  }
  for (int i = 0; i < kWarmUp; ++i) issued(session, loaded);
  SampleList task, record, wait;
  for (int i = 0; i < steps; ++i) {
    const auto [none, one, two] = issued(session, loaded);
    const Duration of_wait = std::max(two - one, Duration{});
    task.add(none / static_cast<std::int64_t>(kStreams.size()), false);
    wait.add(of_wait, false);
    record.add(std::max(one - none - of_wait, Duration{}), false);
  }
  for (const std::size_t graph : loaded) session.unload(graph);
  if (task.summary().mean == Duration{}) return {};
  return IssueSamples{.task = task.summary(), .record = record.summary(), .wait = wait.summary()};
}

}  // namespace foreplan
