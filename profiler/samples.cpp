#include "profiler/samples.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace foreplan {
namespace {

/// The task before each in its stream, or none.
std::vector<std::optional<TaskId>> stream_predecessors(const TaskGraph& graph) {
  std::vector<std::optional<TaskId>> before(graph.size());
  std::map<std::pair<DeviceId, StreamId>, TaskId> last;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.stream[i] == kNoStream) continue;
    const TaskId task{static_cast<std::int32_t>(i)};
    const auto [place, fresh] = last.try_emplace({graph.device[i], graph.stream[i]}, task);
    if (!fresh) {
      before[i] = place->second;
      place->second = task;
    }
  }
  return before;
}

bool disturbed(const MeasuredStep& step, DeviceId device) {
  return index(device) < step.disturbed.size() && step.disturbed[index(device)];
}

}  // namespace

Sample SampleList::summary() const {
  std::vector<Duration> counted = quiet_;
  if (4 * quiet_.size() < quiet_.size() + disturbed_.size()) {
    counted.insert(counted.end(), disturbed_.begin(), disturbed_.end());
  }
  Sample sample = summarise(std::move(counted), static_cast<std::int64_t>(disturbed_.size()));
  sample.samples = static_cast<std::int64_t>(quiet_.size() + disturbed_.size());
  return sample;
}

void SampleBook::add(const TaskGraph& graph, const MeasuredStep& step) {
  add_work(graph, step);
  add_gaps(graph, step);
}

void SampleBook::add_work(const TaskGraph& graph, const MeasuredStep& step) {
  const Timeline& timeline = step.timeline;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const Duration time = timeline.finish[i] - timeline.start[i];
    const bool marked = disturbed(step, graph.device[i]);
    if (graph.kind[i] == TaskKind::transfer) {
      copies_[{graph.source[i], graph.device[i], graph.bytes[i]}].add(time, marked);
    } else {
      const Op& op = graph.ops[index(graph.op[i])];
      OpSamples& samples = ops_[op.key];
      samples.flops = op.flops;
      samples.traffic = op.traffic;
      samples.times.add(time, marked);
      if (i >= step.multiprocessors.size()) continue;
      samples.shares += step.multiprocessors[i];
      samples.launches += i < step.launches.size() ? step.launches[i] : 1;
      ++samples.traced;
    }
  }
  add_collectives(graph, step);
}

void SampleBook::add_gaps(const TaskGraph& graph, const MeasuredStep& step) {
  const Timeline& timeline = step.timeline;
  const std::vector<std::optional<TaskId>> before = stream_predecessors(graph);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const bool marked = disturbed(step, graph.device[i]);
    const Duration own = before[i] ? timeline.finish[index(*before[i])] : Duration::zero();
    std::optional<Duration> other;
    for (const TaskId predecessor : graph.after[i]) {
      if (graph.device[index(predecessor)] == graph.device[i]) continue;
      const Duration finish = timeline.finish[index(predecessor)];
      other = std::max(other.value_or(finish), finish);
    }
    const Duration start = timeline.start[i];
    if (!other && before[i]) dispatch_.add(start - own, marked);
    // Only a task whose own stream was free in time has waited for the other device alone.
    if (other && *other > own + std::chrono::nanoseconds(500) && start > *other) {
      handover_gaps_.add(start - *other, marked);
    }
  }
}

void SampleBook::add_collectives(const TaskGraph& graph, const MeasuredStep& step) {
  const std::size_t count = graph.collectives.size();
  std::vector<Duration> first(count, Duration::max()), last(count, Duration::min());
  std::vector<char> marked(count, 0);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (graph.collective[i] < 0) continue;
    const auto c = static_cast<std::size_t>(graph.collective[i]);
    first[c] = std::min(first[c], step.timeline.start[i]);
    last[c] = std::max(last[c], step.timeline.finish[i]);
    if (disturbed(step, graph.device[i])) marked[c] = 1;
  }
  for (std::size_t c = 0; c < count; ++c) {
    const Collective& collective = graph.collectives[c];
    if (last[c] < first[c]) continue;
    collectives_[{collective.kind, static_cast<int>(collective.group.size()), collective.bytes}]
        .add(last[c] - first[c], marked[c] != 0);
  }
}

Profile SampleBook::summary() const {
  Profile profile;
  for (const auto& [key, samples] : ops_) {
    ProfiledOp op{.key = key,
                  .flops = samples.flops,
                  .traffic = samples.traffic,
                  .time = samples.times.summary(),
                  .multiprocessors = {},
                  .choice = samples.choice};
    if (op.time.samples == 0) continue;
    if (samples.traced > 0) {
      op.multiprocessors = samples.shares / static_cast<double>(samples.traced);
      op.launches = samples.launches / static_cast<double>(samples.traced);
    }
    profile.ops.push_back(std::move(op));
  }
  for (const auto& [key, samples] : copies_) {
    const auto& [source, destination, bytes] = key;
    profile.copies.push_back(
        {.source = source, .destination = destination, .bytes = bytes, .time = samples.summary()});
  }
  for (const auto& [key, samples] : collectives_) {
    const auto& [kind, ranks, bytes] = key;
    profile.collectives.push_back(
        {.kind = kind, .ranks = ranks, .bytes = bytes, .time = samples.summary()});
  }
  profile.dispatch = dispatch_.summary();
  profile.handover = handover_gaps_.summary();
  // The gap after a wait holds the dispatch of the waiting task too.
  const auto less_dispatch = [&](Duration gap, Duration dispatch) {
    return std::max(gap - dispatch, Duration::zero());
  };
  profile.handover.mean = less_dispatch(profile.handover.mean, profile.dispatch.mean);
  profile.handover.median = less_dispatch(profile.handover.median, profile.dispatch.median);
  return profile;
}

}  // namespace foreplan
