#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "sim/profile.hpp"
#include "sim/task_graph.hpp"
#include "sim/timeline.hpp"

namespace foreplan {

/// Measurements of one thing as they come in.
struct SampleList {
  std::vector<Duration> values;
  std::int64_t disturbed = 0;
  void add(Duration value, bool was_disturbed) {
    values.push_back(value);
    disturbed += was_disturbed ? 1 : 0;
  }
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
  /// Every op, copy and collective seen so far, summarised; no device, no barrier, no fits.
  Profile summary() const;

 private:
  void add_gaps(const TaskGraph& graph, const MeasuredStep& step);
  void add_collectives(const TaskGraph& graph, const MeasuredStep& step);

  struct OpSamples {
    Flops flops;
    Bytes traffic;
    SampleList times;
  };
  std::map<OpKey, OpSamples> ops_;
  std::map<std::tuple<DeviceId, DeviceId, Bytes>, SampleList> copies_;
  std::map<std::tuple<CollectiveKind, int, Bytes>, SampleList> collectives_;
  SampleList dispatch_;
  SampleList handover_gaps_;  ///< dispatch included
};

}  // namespace foreplan
