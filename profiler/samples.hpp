#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "sim/profile.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// Measurements of one thing as they come in.
class SampleList {
 public:
  /// @param disturbed  an involuntary context switch hit it: somebody else had the core for a while
  void add(Duration value, bool disturbed) { (disturbed ? disturbed_ : quiet_).push_back(value); }

  /// Mean, median and deviation over the values that nothing disturbed, where these are at least a
  /// quarter of all, else over all. `samples` counts all, `disturbed` those that were hit.
  Sample summary() const;

 private:
  std::vector<Duration> quiet_, disturbed_;
};

/// Sorts measured steps into what they tell about single things.
///
/// From the graph and its timeline: the time of each op and of each copy; from tasks that directly
/// follow another of their stream and wait for nobody, the dispatch between them; from tasks that
/// waited for another device, the time from that device's last finish to their start, less one
/// dispatch: the hand-over; of each collective, the time from its first start to its last finish.
class SampleBook {
 public:
  void add(const TaskGraph& graph, const MeasuredStep& step);
  /// The same without the gaps: dispatch and hand-over are not told by this graph, whose tasks may have
  /// waited for the thread that hands them out.
  void add_work(const TaskGraph& graph, const MeasuredStep& step);
  /// What a library chose to run for an op.
  void note_choice(const OpKey& key, const std::string& choice) { ops_[key].choice = choice; }
  /// Every op, copy and collective seen so far, summarised; no device, no barrier, no fits.
  Profile summary() const;

 private:
  void add_gaps(const TaskGraph& graph, const MeasuredStep& step);
  void add_collectives(const TaskGraph& graph, const MeasuredStep& step);

  struct OpSamples {
    Flops flops;
    Bytes traffic;
    SampleList times;
    std::string choice;
    double shares = 0;    ///< of the multiprocessors, summed
    double launches = 0;  ///< summed
    std::int64_t traced = 0;
  };
  std::map<OpKey, OpSamples> ops_;
  std::map<std::tuple<DeviceId, DeviceId, Bytes>, SampleList> copies_;
  std::map<std::tuple<CollectiveKind, int, Bytes>, SampleList> collectives_;
  SampleList dispatch_;
  SampleList handover_gaps_;  ///< dispatch included
};

}  // namespace foreplan
