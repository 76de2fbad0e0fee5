#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "planner/estimate.hpp"
#include "profiler/profiling.hpp"

namespace foreplan {

/// A network and the batch that it is trained with.
struct Workload {
  std::string model;
  std::int64_t global_batch = 0;
};

/// The two networks that `profile` and `validate` measure.
std::vector<Workload> default_workloads();

/// A cluster of host devices as `--cluster host` has it, with `devices` of them.
Cluster host_cluster(int devices);

/// One a core that this process may use.
int host_devices();

/// How the devices work while a sequence of ops is measured.
enum class Sequences : std::uint8_t {
  together,  ///< all at once: cores share caches and memory in training too
  apart,     ///< one at a time: what sharing a processor costs, the simulator adds
};

/// Adds to `profiling` a sequence without communication for each distinct (tp, pp, micro-batch) of
/// `strategies` (apart: one for each of its stages), and to `copies` the sizes of what they copy.
void add_measurements(const Task& task, const std::vector<Strategy>& strategies, Sequences how,
                      Profiling& profiling, CopySizes& copies);

/// What a profile says of this machine.
Profile::Device describe_host(int workers);

}  // namespace foreplan
