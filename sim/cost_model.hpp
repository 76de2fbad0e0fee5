#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "sim/cluster.hpp"
#include "sim/layer_table.hpp"
#include "sim/processor_sharing.hpp"
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
  /// Where one thread hands out all tasks, in the order of the graph: when it has handed out each, before
  /// which it cannot start. Empty: each device has a thread of its own.
  std::vector<Duration> issued;
  /// What tasks want of their processors, by task; empty: tasks on one processor do not feel each
  /// other. A task's processor is its device's; a copy between two is the destination's. What a flow
  /// holds it holds while its bytes move.
  std::vector<Demand> demand;
};

/// What it costs one thread that hands out all work of a step to hand out one of each.
struct IssueCost {
  Duration task{};    ///< a kernel or a copy; a task may be several kernels
  Duration record{};  ///< an event behind a task that some other stream waits for
  Duration wait{};    ///< a stream's wait for such an event
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
  /// Of a collective among ranks of one node, measured whole; empty: the links decide.
  virtual std::optional<Duration> collective_time(CollectiveKind, int /*ranks*/, Bytes) const {
    return {};
  }
  /// A layer that was measured whole: its ops are not asked for then.
  virtual std::optional<LayerTimes> layer_times(const LayerKey&) const { return {}; }
  /// Of the one thread that hands out tasks; zeros where each device has a thread of its own.
  virtual IssueCost issue() const { return {}; }
  /// How many times as long matrix products take where they are this share of a device's time, at full clock:
  /// what its power limit makes of them. 1 where times were measured as they run.
  virtual double product_slowdown(double /*share*/, const DeviceSpec&) const { return 1; }
  /// How many kernels an op is.
  virtual double launches(const Op&) const { return 1; }
  /// What `op`, which alone takes `time`, wants of its processor. Without better knowledge: all
  /// multiprocessors, and the bandwidth that its traffic takes.
  virtual Demand demand(const Op& op, const DeviceSpec& spec, Duration time) const;
  /// How much compute and communication that run side by side slow each other down: time beside the
  /// other over time alone, >= 1.
  struct Overlap {
    double compute = 1, communication = 1;
  };
  /// On a device of kind `spec`. Without better knowledge: a library's collective holds c of m
  /// multiprocessors, so that compute takes 1 / (1 - c / m) times as long; it is not slowed itself.
  virtual Overlap overlap(const DeviceSpec& spec) const;
  /// Whether `demand` is known well enough to slow down streams of one device that overlap.
  virtual bool knows_demand() const { return false; }
};

/// The share of `spec`'s memory bandwidth that moving `traffic` in `time` takes, at most 1.
double bandwidth_share(Bytes traffic, Duration time, const DeviceSpec& spec);

/// Prices every task of `graph`; each distinct op and copy is asked for once.
///
/// An op with a given duration takes that. A transfer that has no measured time takes its route's
/// latency, then its bytes flow over the route's links; a copy within a device that has no measured
/// time takes none. Demands are told where logical devices share processors or the model knows them;
/// a copy holds no multiprocessors, and the bandwidth that it takes where nothing competes, of reading
/// and writing where both ends are on one processor. Where kinds of devices differ in dispatch, the longest holds for all.
///
/// Where one thread hands out tasks, in the order of the graph, each has been handed out at
///
///   issued(t) = waits(t) wait + sum over tasks u before it of
///                 (waits(u) wait + launches(u) task + recorded(u) record)
///
/// with a wait for the last of a task's predecessors in each stream beside its own, unless its own stream
/// has waited for it or a later one, and recorded = 1 for a task that is waited for.
/// @throws Error(invalid_argument) if the graph uses more devices than the cluster has
Costs cost(const TaskGraph& graph, const Cluster& cluster, const CostModel& model);

}  // namespace foreplan
