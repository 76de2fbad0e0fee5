#pragma once

#include <vector>

#include "sim/task_graph.hpp"

namespace foreplan {

/// When each task of a graph ran, simulated or measured: entry i belongs to TaskId{i}.
///
/// Instants count from the start of the step.
struct Timeline {
  std::vector<Duration> start;
  std::vector<Duration> finish;
};

/// A step as it was measured on devices.
struct MeasuredStep {
  Timeline timeline;
  /// By device: an involuntary context switch hit its worker during the step.
  std::vector<bool> disturbed;
  /// By task: the share of its processor's multiprocessors that it could fill, 0 to 1; empty where
  /// nobody tells.
  std::vector<double> multiprocessors{};
  /// By task: how many kernels, copies and memsets it was; empty where nobody tells.
  std::vector<int> launches{};
  /// How long one thread took to hand out the whole step; zero where each device has one of its own.
  Duration issued{};
};

/// From the start of the step to the last finish; zero without tasks.
Duration makespan(const Timeline& timeline);

/// Where the step of one device goes; the parts add up to the makespan exactly.
struct DeviceTime {
  Duration compute{};                ///< some compute task other than the optimizer runs
  Duration optimizer{};              ///< no such task runs, an optimizer task does
  Duration exposed_communication{};  ///< no compute runs, a transfer to or from here, or work of a
                                     ///< collective, does
  Duration idle{};                   ///< nothing runs: bubble, hand-over, dispatch
};

/// One entry a device.
///
/// Compute tasks that belong to a collective (its adds) count as communication.
std::vector<DeviceTime> device_times(const TaskGraph& graph, const Timeline& timeline);

/// The means over devices of `device_times`: the breakdown of an estimate; adds up to the makespan
/// to within rounding (one picosecond a part).
DeviceTime mean_device_time(const std::vector<DeviceTime>& times);

}  // namespace foreplan
