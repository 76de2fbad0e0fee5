#include "sim/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/costs_check.hpp"
#include "sim/error.hpp"
#include "sim/waits.hpp"

namespace foreplan {
namespace {

constexpr long double kPicosecondsPerSecond = 1e12L;
constexpr long double kLongestRest = 4e18L;  ///< leaves room to add it to an instant

std::vector<double> capacities_of(const Cluster& cluster) {
  std::vector<double> capacities(static_cast<std::size_t>(cluster.capacities()));
  for (std::size_t l = 0; l < cluster.links().size(); ++l) {
    capacities[static_cast<std::size_t>(cluster.capacity_of(LinkId(l)))] =
        cluster.links()[l].bandwidth.bytes_per_s;
  }
  return capacities;
}

void check_devices(const TaskGraph& graph, const Cluster& cluster) {
  if (graph.devices <= cluster.devices()) return;
  reject(fmt::format("the task graph uses {} devices, but cluster '{}' has {}", graph.devices,
                     cluster.name(), cluster.devices()));
}

}  // namespace

Engine::Engine(const TaskGraph& graph, const Cluster& cluster)
    : graph_((check_devices(graph, cluster), graph)),
      cluster_(cluster),
      routes_(graph, cluster),
      predecessors_(graph.size(), 0),
      network_(capacities_of(cluster)),
      sharing_(static_cast<std::size_t>(cluster.processors())),
      uses_(cluster.links().size()) {
  compile();
}

/// Turns what each task waits for into successors, in order of the waiting task.
void Engine::compile() {
  struct Wait {
    TaskId by, on;
  };
  std::vector<Wait> all;
  all.reserve(graph_.size() * 2);
  Waits waits(graph_);
  const auto note = [&](TaskId by, std::uint32_t place) {
    all.push_back({by, graph_.order[place - 1]});
    ++predecessors_[index(by)];
  };
  for (const TaskId task : graph_.order) {
    const std::uint32_t before = waits.before_in_stream(task);
    if (before > 0) note(task, before);
    for (const Waits::Edge edge : waits.elsewhere(task)) note(task, edge >> 2);
  }
  std::vector<std::int32_t>& begin = successors_.begin;
  begin.assign(graph_.size() + 1, 0);
  for (const Wait& wait : all) ++begin[index(wait.on) + 1];
  for (std::size_t t = 0; t < graph_.size(); ++t) begin[t + 1] += begin[t];
  successors_.items.resize(all.size());
  std::vector<std::int32_t> next(begin.begin(), begin.end() - 1);
  for (const Wait& wait : all) {
    const bool elsewhere = graph_.device[index(wait.by)] != graph_.device[index(wait.on)];
    successors_.items[static_cast<std::size_t>(next[index(wait.on)]++)] =
        static_cast<Successor>(wait.by) * 2 + (elsewhere ? 1 : 0);
  }
}

SimulationResult Engine::run(const Costs& costs) {
  SimulationResult result;
  run(costs, result);
  return result;
}

void Engine::run(const Costs& costs, SimulationResult& result) {
  check_costs(graph_, costs);
  begin_run(costs, result);
  clean_ = false;
  for (std::size_t t = 0; t < graph_.size(); ++t) {
    if (waits_for_[t] == 0) ready_.push_back(TaskId(t));
  }
  start_ready();
  while (!queue_.empty()) {
    const Duration now = queue_.top().at;
    handle_all_at(now);
    reschedule(now);
  }
  end_run(result);
  clean_ = true;
}

void Engine::begin_run(const Costs& costs, SimulationResult& result) {
  if (!clean_) {
    network_.clear();
    sharing_.clear();
    queue_.clear();
    ready_.clear();
  }
  costs_ = &costs;
  traits_.resize(graph_.size());
  // Routes stay where they are while flows use them, so all are found first.
  for (std::size_t t = 0; t < graph_.size(); ++t) {
    traits_[t] = traits_of(TaskId(t));
    if (is(TaskId(t), flows)) routes_.of(TaskId(t));
  }
  events_ = 0;
  activities_.clear();
  unused_.clear();
  waits_for_ = predecessors_;
  std::fill(uses_.begin(), uses_.end(), Use{});
  moved_.assign(routes_.size(), Bytes{});
  result.timeline.finish.resize(graph_.size());
  result.timeline.start.resize(graph_.size());
  start_ = result.timeline.start.data();
  finish_ = result.timeline.finish.data();
  if (costs.issued.empty()) {
    std::fill_n(start_, graph_.size(), Duration::zero());
  } else {
    std::copy(costs.issued.begin(), costs.issued.end(), start_);
  }
}

void Engine::end_run(SimulationResult& result) const {
  result.links.assign(uses_.size(), {});
  for (std::size_t l = 0; l < uses_.size(); ++l) result.links[l].busy = uses_[l].busy;
  for (std::size_t route = 0; route < moved_.size(); ++route) {
    for (const LinkId link : routes_.links(static_cast<std::int32_t>(route))) {
      result.links[index(link)].bytes += moved_[route];
    }
  }
}

std::uint8_t Engine::traits_of(TaskId task) const {
  const std::size_t t = index(task);
  const std::uint8_t queueing = graph_.stream[t] == kNoStream ? 0 : queues;
  const bool demands = !costs_->demand.empty();
  if (costs_->flow[t] == Bytes{} || graph_.source[t] == graph_.device[t]) {
    return queueing | (demands && costs_->duration[t] > Duration::zero() ? shares : 0);
  }
  const Demand demand = demands ? costs_->demand[t] : Demand{};
  const bool felt = demand.multiprocessors > 0 || demand.bandwidth > 0 || demand.slowdown > 1;
  return queueing | flows | (demand.holds && felt ? holds : 0);
}

std::int32_t Engine::processor_of(TaskId task) const {
  return cluster_.processor_of(graph_.device[index(task)]);
}

void Engine::start_ready() {
  while (!ready_.empty()) {
    const TaskId task = ready_.back();
    ready_.pop_back();
    start(task);
  }
}

/// All that `task` waits for is done; its entry in `start` has become the last of these instants.
void Engine::start(TaskId task) {
  Duration& start = start_[index(task)];
  if (is(task, queues)) start += costs_->dispatch;
  const Duration end = start + costs_->duration[index(task)];
  if (is(task, flows)) {
    wait(task, end);
  } else if (is(task, shares)) {
    wait(task, start);
  } else {
    finish(task, end);
  }
}

void Engine::wait(TaskId task, Duration at) {
  if (unused_.empty()) {
    unused_.push_back(static_cast<std::int32_t>(activities_.size()));
    activities_.emplace_back();
  }
  const std::int32_t number = unused_.back();
  unused_.pop_back();
  activity(number) = {.task = task};
  queue_.set({at, task, number});
}

void Engine::finish(TaskId task, Duration at) {
  finish_[index(task)] = at;
  const Duration seen[2] = {at, at + costs_->handover};
  for (const Successor next : successors_[index(task)]) {
    const std::size_t t = next >> 1;
    start_[t] = std::max(start_[t], seen[next & 1]);
    if (--waits_for_[t] == 0) ready_.push_back(TaskId(t));
  }
}

void Engine::handle_all_at(Duration now) {
  for (EventQueue::Event next = queue_.top(); next.at == now; next = queue_.top()) {
    ++events_;
    handle(next.activity, now);
    start_ready();
    queue_.remove(next);  // last, as what comes next often takes the number over
    if (queue_.empty()) return;
  }
}

void Engine::handle(std::int32_t number, Duration now) {
  const Activity& one = activity(number);
  const TaskId task = one.task;
  if (one.state == State::waiting) {
    if (is(task, flows)) return begin_flow(number, now);
    return begin_sharing(number, now);
  }
  if (one.state == State::flowing) {
    end_flow(one, now);
    if (is(task, holds)) sharing_.end(number, processor_of(task), now);
  } else {
    sharing_.end(number, processor_of(task), now);
  }
  unused_.push_back(number);
  finish(task, now);
}

void Engine::begin_sharing(std::int32_t number, Duration now) {
  Activity& one = activity(number);
  one.state = State::sharing;
  sharing_.begin({.number = number,
                  .processor = processor_of(one.task),
                  .demand = costs_->demand[index(one.task)],
                  .work = costs_->duration[index(one.task)]},
                 now);
}

void Engine::begin_flow(std::int32_t number, Duration now) {
  Activity& one = activity(number);
  const std::int32_t route = routes_.of(one.task);
  one.state = State::flowing;
  one.flow = network_.add(routes_.capacities(route));
  one.left = static_cast<long double>(costs_->flow[index(one.task)].count);
  one.since = now;
  const auto flow = static_cast<std::size_t>(one.flow);
  if (flow >= of_flow_.size()) of_flow_.resize(flow + 1);
  of_flow_[flow] = number;
  for (const LinkId link : routes_.links(route)) {
    Use& use = uses_[index(link)];
    if (use.users++ == 0) use.since = now;
  }
  if (!is(one.task, holds)) return;
  sharing_.begin({.number = number,
                  .processor = processor_of(one.task),
                  .demand = costs_->demand[index(one.task)]},
                 now);
}

void Engine::end_flow(const Activity& one, Duration now) {
  const std::int32_t route = routes_.of(one.task);
  network_.remove(one.flow);
  moved_[static_cast<std::size_t>(route)] += costs_->flow[index(one.task)];
  for (const LinkId link : routes_.links(route)) {
    Use& use = uses_[index(link)];
    if (--use.users == 0) use.busy += now - use.since;
  }
}

Duration Engine::rest_of(const Activity& one) const {
  // In most cases the nearest whole picosecond is as sure in double as in long double and much sooner
  // known: the three roundings on the way are off by less than 4e-16 of it.
  const double about = static_cast<double>(one.left) * 1e12 / one.rate;
  if (about < 1e15) {
    const auto whole = static_cast<std::int64_t>(about);
    const double beyond_half = about - static_cast<double>(whole) - 0.5;
    if (std::abs(beyond_half) > 4e-16 * about) return Duration(whole + (beyond_half > 0 ? 1 : 0));
  }
  const long double picoseconds = one.left * kPicosecondsPerSecond / one.rate;
  if (!(picoseconds < kLongestRest)) {
    reject(fmt::format("transfer '{}' takes {:.3g} s, which is out of range",
                       task_name(graph_, one.task),
                       static_cast<double>(picoseconds / kPicosecondsPerSecond)));
  }
  return Duration(std::llrint(picoseconds));
}

void Engine::change_rate(std::int32_t number, Duration now) {
  Activity& one = activity(number);
  if (one.since != now) {
    const auto passed = static_cast<long double>((now - one.since).count());
    one.left = std::max(0.0L, one.left - one.rate * passed / kPicosecondsPerSecond);
    one.since = now;
  }
  one.rate = network_.rate(one.flow) * one.share;
  queue_.set({now + rest_of(one), one.task, number});
}

void Engine::reschedule(Duration now) {
  for (const std::int32_t flow : network_.solve()) {
    change_rate(of_flow_[static_cast<std::size_t>(flow)], now);
  }
  for (const ProcessorSharing::Due& due : sharing_.reschedule(now)) {
    Activity& one = activity(due.number);
    if (one.state == State::sharing) {
      queue_.set({due.at, one.task, due.number});
    } else if (one.share != due.rate) {
      one.share = due.rate;
      change_rate(due.number, now);
    }
  }
}

}  // namespace foreplan
