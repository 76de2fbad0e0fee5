#include "tools/cuda_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "planner/search.hpp"
#include "profiler/copy_patterns.hpp"
#include "profiler/fit.hpp"
#include "profiler/interference.hpp"
#include "profiler/issue_probe.hpp"
#include "profiler/op_sequence.hpp"
#include "sim/roofline.hpp"
#include "tools/gpu_cluster.hpp"
#include "tools/machine.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

constexpr int kCopySteps = 3;
constexpr int kHostCopySamples = 7;

class GpuMeasurement {
 public:
  GpuMeasurement(const CudaHalf& half, const CudaProfiling& options)
      : half_(half), options_(options), session_(half, options.devices) {
    note_state("start");
  }

  Profile run() {
    part("workloads", [&] { measure_workloads(); });
    for (const DType dtype : grid_dtypes()) {
      part(fmt::format("products {}", name(dtype)),
           [&] { measure_ops(product_grid(dtype, options_.grid)); });
      part(fmt::format("other ops {}", name(dtype)),
           [&] { measure_ops(other_grid(dtype, options_.grid)); });
    }
    part("copies", [&] { measure_copies(); });
    part("copies from and to the host", [&] { measure_host_copies(); });
    part("interference", [&] { measure_interferences(); });
    part("issuing", [&] { profile_.issue = measure_issue(session_, options_.probe_steps); });
    profile_.device = describe_gpus(half_, session_.gpus(), options_.devices);
    profile_.fits = fit_profile(profile_);
    return std::move(profile_);
  }

 private:
  template <typename Measure>
  void part(const std::string& name, Measure measure) {
    if (options_.progress) options_.progress(name);
    measure();
    note_state(name);
  }

  void note_state(const std::string& after) {
    for (std::size_t gpu = 0; gpu < session_.gpus().size(); ++gpu) {
      const auto state = half_.cupti.gpu_state(session_.gpus()[gpu].bus_id);
      if (!state) continue;
      profile_.states.push_back({.gpu = static_cast<int>(gpu),
                                 .after = after,
                                 .clock_mhz = state->clock_mhz,
                                 .memory_clock_mhz = state->memory_clock_mhz,
                                 .power_w = state->power_w,
                                 .temperature_c = state->temperature_c});
    }
  }

  void measure_workloads() {
    const Cluster cluster = gpu_cluster(session_.gpus(), options_.devices, nullptr);
    const RooflineModel sheet;
    Profiling profiling(session_, options_.turns);
    CopySizes copies;
    for (const Workload& workload : options_.workloads) {
      const OpGraph model = load_model(workload.model);
      const Task task{.model = model,
                      .cluster = cluster,
                      .costs = sheet,
                      .global_batch = workload.global_batch,
                      .optimizer = options_.optimizer};
      add_measurements(task, strategy_space(task, options_.devices), Sequences::apart, profiling,
                       copies);
    }
    profiling.add_communication(copies);
    rounds(profiling);
    profile_ = [&, states = std::move(profile_.states)]() mutable {
      Profile whole = profiling.profile({});
      whole.states = std::move(states);
      return whole;
    }();
  }

  void measure_ops(const std::vector<OpKey>& keys) {
    if (keys.empty()) return;
    Profiling profiling(session_, options_.turns);
    profiling.add_sequence(op_sequence(keys, options_.least_pool));
    rounds(profiling);
    std::set<OpKey> known;
    for (const ProfiledOp& op : profile_.ops) known.insert(op.key);
    for (ProfiledOp& op : profiling.profile({}).ops) {
      if (!known.contains(op.key)) profile_.ops.push_back(std::move(op));
    }
  }

  void rounds(Profiling& profiling) {
    for (int round = 0; round < options_.rounds; ++round) profiling.round({});
    profiling.unload();
  }

  Bytes largest_copy() const {
    Bytes most = options_.largest_copy;
    for (const GpuDescription& gpu : session_.gpus()) most = std::min(most, gpu.memory / 8);
    return most;
  }

  void measure_copies() {
    std::set<std::tuple<DeviceId, DeviceId, Bytes>> known;
    for (const ProfiledCopy& copy : profile_.copies) {
      known.emplace(copy.source, copy.destination, copy.bytes);
    }
    for (const CopyPattern& pattern : lone_copies(options_.devices)) {
      const auto& [source, destination] = pattern.pairs.front();
      for (const Bytes bytes : copy_sizes(largest_copy())) {
        if (!known.emplace(source, destination, bytes).second) continue;
        const ProfiledCopies found = measure_pattern(session_, pattern, bytes, kCopySteps);
        profile_.copies.push_back({.source = source,
                                   .destination = destination,
                                   .bytes = bytes,
                                   .time = found.time,
                                   .path = session_.path(source, destination)});
      }
    }
    for (const CopyPattern& pattern : copies_together(options_.devices)) {
      for (const Bytes bytes : {largest_copy() / 1024, largest_copy() / 16}) {
        profile_.copies_together.push_back(measure_pattern(session_, pattern, bytes, kCopySteps));
      }
    }
  }

  void measure_host_copies() {
    const int gpus = std::min(options_.devices, static_cast<int>(session_.gpus().size()));
    for (int gpu = 0; gpu < gpus; ++gpu) {
      for (const bool to_device : {true, false}) {
        for (const Bytes bytes : copy_sizes(largest_copy() / 4)) {
          SampleList times;
          for (int i = 0; i < kHostCopySamples; ++i) {
            times.add(session_.host_copy(DeviceId{gpu}, bytes, to_device), false);
          }
          profile_.host_copies.push_back({.device = DeviceId{gpu},
                                          .to_device = to_device,
                                          .bytes = bytes,
                                          .time = times.summary()});
        }
      }
    }
  }

  /// A product that fills the multiprocessors, and a norm that fills the memory's bandwidth.
  std::vector<OpKey> compute_beside() const {
    const std::int64_t n = options_.grid == GridSize::tiny ? 16 : 4096;
    return {{.op = "matmul", .shape = {n, n, n}, .dtype = DType::bf16},
            {.op = "layer_norm", .shape = {n, n}, .dtype = DType::bf16}};
  }

  void measure_interferences() {
    using Kind = Communication::Kind;
    const Bytes bytes = largest_copy() / 16;
    std::vector<Communication> beside{{.kind = Kind::copy, .bytes = bytes},
                                      {.kind = Kind::reduction, .bytes = bytes}};
    if (options_.devices > 1) {
      beside.push_back({.kind = Kind::copy, .source = DeviceId{1}, .bytes = bytes});
    }
    for (const OpKey& compute : compute_beside()) {
      for (const Communication& communication : beside) {
        profile_.interference.push_back(
            measure_interference(session_, compute, communication, kCopySteps));
      }
    }
  }

  CudaHalf half_;
  CudaProfiling options_;
  CudaSession session_;
  Profile profile_;
};

}  // namespace

Profile measure_gpus(const CudaHalf& half, const CudaProfiling& options) {
  return GpuMeasurement(half, options).run();
}

}  // namespace foreplan
