#include "sim/replayer.hpp"

#include <algorithm>

#include "sim/costs_check.hpp"
#include "sim/waits.hpp"

namespace foreplan {
namespace {

constexpr std::uint32_t kMore = 1;

}  // namespace

Replayer::Replayer(const TaskGraph& graph)
    : graph_(graph), steps_(graph.size()), finish_(graph.size() + 1) {
  Waits waits(graph);
  for (std::size_t i = 0; i < graph.order.size(); ++i) {
    const TaskId task = graph.order[i];
    in_order_ = in_order_ && index(task) == i;
    add_predecessors(i, waits.elsewhere(task));
    steps_[i].before =
        waits.before_in_stream(task) * 2 + (graph.stream[index(task)] == kNoStream ? 0 : 1);
  }
}

void Replayer::add_predecessors(std::size_t i, const std::vector<std::uint32_t>& predecessors) {
  dependencies_ += predecessors.size();
  if (predecessors.empty()) return;
  steps_[i].first = predecessors.front() | (predecessors.size() > 1 ? kMore : 0);
  for (std::size_t k = 1; k < predecessors.size(); ++k) {
    more_.push_back(predecessors[k] | (k + 1 < predecessors.size() ? kMore : 0));
  }
}

template <bool in_order, bool with_start>
Duration Replayer::run(const Costs& costs, Duration* start_of) {
  return costs.issued.empty() ? run<in_order, with_start, false>(costs, start_of)
                              : run<in_order, with_start, true>(costs, start_of);
}

template <bool in_order, bool with_start, bool issues>
Duration Replayer::run(const Costs& costs, Duration* start_of) {
  // Times as plain numbers and masks in place of branches: this loop is what a search waits for.
  const Duration handover[2] = {Duration::zero(), costs.handover};
  const Duration dispatch[2] = {Duration::zero(), costs.dispatch};
  const Duration* const issued = costs.issued.data();
  const Duration* const duration = costs.duration.data();
  const std::uint32_t* more = more_.data();
  Duration* const finish = finish_.data();
  Duration last{};
  const auto seen = [&](std::uint32_t edge) {
    return finish[edge >> 2] + handover[(edge & Waits::kElsewhere) >> 1];
  };
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step step = steps_[i];
    const std::size_t task = in_order ? i : index(graph_.order[i]);
    Duration start = std::max(finish[step.before >> 1], seen(step.first));
    if constexpr (issues) start = std::max(start, issued[task]);
    for (std::uint32_t edge = step.first; (edge & kMore) != 0;) {
      edge = *more++;
      start = std::max(start, seen(edge));
    }
    start += dispatch[step.before & 1];
    if constexpr (with_start) start_of[task] = start;
    const Duration end = start + duration[task];
    finish[i + 1] = end;
    last = std::max(last, end);
  }
  return last;
}

Duration Replayer::makespan(const Costs& costs) {
  check_replayable(graph_, costs);
  return in_order_ ? run<true, false>(costs, nullptr) : run<false, false>(costs, nullptr);
}

void Replayer::replay(const Costs& costs, Timeline& timeline) {
  check_replayable(graph_, costs);
  timeline.start.resize(graph_.size());
  timeline.finish.resize(graph_.size());
  if (in_order_) {
    run<true, true>(costs, timeline.start.data());
    std::copy(finish_.begin() + 1, finish_.end(), timeline.finish.begin());
    return;
  }
  run<false, true>(costs, timeline.start.data());
  for (std::size_t i = 0; i < graph_.order.size(); ++i) {
    timeline.finish[index(graph_.order[i])] = finish_[i + 1];
  }
}

Timeline Replayer::timeline(const Costs& costs) {
  Timeline timeline;
  replay(costs, timeline);
  return timeline;
}

}  // namespace foreplan
