#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// What a task graph costs on a cluster: entry i belongs to TaskId{i}.
struct Costs {
  /// compute, host: the whole time. Transfer: time before its first byte moves (a measured copy:
  /// the whole time).
  std::vector<Duration> duration;
  /// Transfer: bytes that share the links of its route; 0 where `duration` is all.
  std::vector<Bytes> flow;
  /// Each task of a stream begins this long after it could: its predecessors done, its stream free.
  Duration dispatch{};
  /// A task sees the end of a predecessor on another device this late.
  Duration handover{};
};

/// Says how long ops and copies take.
class CostModel {
 public:
  virtual ~CostModel() = default;
  /// Time of `op` on a device of kind `spec`.
  /// @throws Error(invalid_argument) if it has no way to tell
  virtual Duration compute_time(const Op& op, const DeviceSpec& spec) const = 0;
  /// Measured time of a whole copy of `size` between these devices; empty: the route's links
  /// decide.
  virtual std::optional<Duration> copy_time(Bytes size, DeviceId source,
                                            DeviceId destination) const = 0;
  virtual Duration dispatch(const DeviceSpec& spec) const = 0;
  virtual Duration handover() const = 0;
};

/// Prices every task of `graph`; each distinct op and copy is asked for once.
///
/// An op with a given duration takes that. A transfer that has no measured time takes its route's
/// latency, then its bytes flow over the route's links; a copy within a device that has no measured
/// time takes none. Where kinds of devices differ in dispatch, the longest holds for all.
/// @throws Error(invalid_argument) if the graph uses more devices than the cluster has
Costs cost(const TaskGraph& graph, const Cluster& cluster, const CostModel& model);

}  // namespace foreplan
