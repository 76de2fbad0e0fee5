#include "tools/host_session.hpp"

#include <algorithm>
#include <cstddef>
#include <random>
#include <set>
#include <span>

namespace foreplan {
namespace {

/// Labels are whole numbers: zeros are valid ones, random bits are not.
std::set<BufferId> label_buffers(const TaskGraph& graph) {
  std::set<BufferId> labels;
  for (const Placement& placement : graph.placements) {
    if (placement.role == Placement::Role::label) labels.insert(placement.range.buffer);
  }
  return labels;
}

/// Optimizer state stays zero: Adam's second moment must not be negative.
bool wants_numbers(const Buffer& buffer) {
  return buffer.persistent && buffer.category != BufferCategory::optimizer_state;
}

void fill(const TaskGraph& graph, Executor& executor) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> small(-0.05F, 0.05F);
  const std::set<BufferId> labels = label_buffers(graph);
  for (std::size_t i = 0; i < graph.buffers.size(); ++i) {
    const BufferId id{static_cast<std::int32_t>(i)};
    const Buffer& buffer = graph.buffers[i];
    if (!wants_numbers(buffer) || labels.contains(id)) continue;
    std::vector<float> numbers(static_cast<std::size_t>(buffer.bytes.count) / sizeof(float));
    std::generate(numbers.begin(), numbers.end(), [&] { return small(random); });
    const Bytes bytes{static_cast<std::int64_t>(numbers.size() * sizeof(float))};
    executor.write({.buffer = id, .offset = {}, .bytes = bytes}, std::as_bytes(std::span(numbers)));
  }
}

}  // namespace

std::size_t HostSession::load(const TaskGraph& graph) {
  loaded_.push_back(std::make_unique<Loaded>(graph));
  fill(loaded_.back()->graph, loaded_.back()->executor);
  return loaded_.size() - 1;
}

MeasuredStep HostSession::step(std::size_t loaded) {
  Loaded& one = *loaded_.at(loaded);
  return one.executor.step({.step = ++one.steps,
                            .global_batch = std::max<std::int64_t>(one.graph.global_batch, 1),
                            .learning_rate = 0});
}

}  // namespace foreplan
