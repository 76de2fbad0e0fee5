#pragma once

#include <cstdint>
#include <vector>

#include "sim/event_queue.hpp"
#include "sim/network.hpp"
#include "sim/processor_sharing.hpp"
#include "sim/route_table.hpp"
#include "sim/simulate.hpp"

namespace foreplan {

/// The event-driven half of `simulate`: a graph on a cluster, compiled once and run at many costs.
///
///   Engine engine(graph, cluster);
///   for (const Costs& costs : candidates) best = std::min(best, makespan(engine.run(costs).timeline));
///
/// Only flows and shared processors need a clock: when a task without one starts is known as soon as
/// all that it waits for is done, and no decision hangs on it. So events are the first and the last
/// byte of each flow, and the start and the end of each task that shares its processor. At each instant
/// all that end leave, all that begin enter, and then the rates are solved once. A flow's last byte is
/// due at the picosecond nearest to where its present rate takes it.
///
/// An Engine shares nothing with any other; one thread uses it at a time.
class Engine {
 public:
  /// @param graph, cluster  must outlive the engine
  /// @throws Error(invalid_argument) if the graph uses more devices than the cluster has
  Engine(const TaskGraph& graph, const Cluster& cluster);

  /// @throws Error(invalid_argument) if the costs do not fit the graph, or a transfer has no way or
  ///   never ends
  SimulationResult run(const Costs& costs);
  /// The same into `result`, whose memory is used again: nothing is allocated from the second run on.
  void run(const Costs& costs, SimulationResult& result);

  /// Events of the last run.
  std::int64_t events() const { return events_; }

 private:
  /// Successors: task * 2 + (on another device).
  using Successor = std::uint32_t;
  enum class State : std::uint8_t { waiting, flowing, sharing };
  /// What a task is in this run, as bits.
  enum Trait : std::uint8_t {
    flows = 1,   ///< its bytes move over links
    shares = 2,  ///< takes time on its processor that others may want too
    holds = 4,   ///< a flow that takes something of its processor that kernels then lack
    queues = 8,  ///< has a stream
  };
  bool is(TaskId task, Trait trait) const { return (traits_[index(task)] & trait) != 0; }
  /// A task that an event is due for.
  struct Activity {
    TaskId task{};
    State state = State::waiting;
    std::int32_t flow = -1;  ///< flowing: its number in network_
    long double left = 0;    ///< flowing: bytes at `since`
    double rate = 0;         ///< flowing: bytes a second from `since` on
    double share = 1;        ///< flowing: of the network's rate, as its processor is busy
    Duration since{};
  };
  /// A link during a run.
  struct Use {
    std::int32_t users = 0;  ///< flows over it
    Duration since{};        ///< while it has users
    Duration busy{};
  };

  void compile();
  void begin_run(const Costs& costs, SimulationResult& result);
  void end_run(SimulationResult& result) const;
  void start_ready();
  void start(TaskId task);
  void finish(TaskId task, Duration at);
  void handle_all_at(Duration now);
  void handle(std::int32_t number, Duration now);
  void begin_flow(std::int32_t number, Duration now);
  void begin_sharing(std::int32_t number, Duration now);
  void end_flow(const Activity& activity, Duration now);
  void reschedule(Duration now);
  void change_rate(std::int32_t number, Duration now);
  Duration rest_of(const Activity& activity) const;

  void wait(TaskId task, Duration at);
  std::uint8_t traits_of(TaskId task) const;
  std::int32_t processor_of(TaskId task) const;
  Activity& activity(std::int32_t number) { return activities_[static_cast<std::size_t>(number)]; }

  const TaskGraph& graph_;
  const Cluster& cluster_;
  RouteTable routes_;
  Rows<Successor> successors_;
  std::vector<std::int32_t> predecessors_;  ///< by task: how many
  Network network_;
  ProcessorSharing sharing_;
  EventQueue queue_;

  const Costs* costs_ = nullptr;  ///< of this run, as are all below
  Duration* start_ = nullptr;     ///< by task: the last end of what it waits for, so far
  Duration* finish_ = nullptr;
  std::int64_t events_ = 0;
  bool clean_ = true;  ///< no run broke off
  std::vector<TaskId> ready_;
  std::vector<std::uint8_t> traits_;     ///< by task
  std::vector<std::int32_t> waits_for_;  ///< by task: predecessors that are not done
  std::vector<Activity> activities_;
  std::vector<std::int32_t> unused_;   ///< activities
  std::vector<std::int32_t> of_flow_;  ///< by flow's number: its activity
  std::vector<Use> uses_;              ///< by link
  std::vector<Bytes> moved_;           ///< by route
};

}  // namespace foreplan
