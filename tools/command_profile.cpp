#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "planner/search.hpp"
#include "sim/cluster_json.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/profile_io.hpp"
#include "sim/roofline.hpp"
#include "tools/backends.hpp"
#include "tools/best_rates.hpp"
#include "tools/commands.hpp"
#include "tools/cuda_plugins.hpp"
#include "tools/cuda_profile.hpp"
#include "tools/gpu_cluster.hpp"
#include "tools/host_session.hpp"
#include "tools/machine.hpp"
#include "tools/outputs.hpp"
#include "tools/progress.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

constexpr Bytes kLargestCopy{16'000'000};

Profile measure_host(const ProfileCommand& command, int devices) {
  HostSession session(devices);
  const Cluster cluster = host_cluster(devices);
  const RooflineModel sheet;
  Profiling profiling(session, {});
  CopySizes copies;
  for (const Workload& workload : default_workloads()) {
    const OpGraph model = load_model(workload.model);
    const Task task{.model = model,
                    .cluster = cluster,
                    .costs = sheet,
                    .global_batch = workload.global_batch,
                    .optimizer = optimizer_named(command.optimizer)};
    add_measurements(task, strategy_space(task, devices), Sequences::together, profiling, copies);
  }
  copies.add_grid(kLargestCopy);
  profiling.add_communication(copies);
  Progress progress("measuring");
  for (int round = 0; round < command.rounds; ++round) {
    profiling.round([&](std::size_t done, std::size_t all) {
      const auto turns = static_cast<std::int64_t>(all);
      progress.tell(round * turns + static_cast<std::int64_t>(done), command.rounds * turns);
    });
  }
  return profiling.profile(describe_host(devices));
}

/// Told part by part on standard error, since a part takes seconds.
Profile measure_cuda(const ProfileCommand& command, const CudaHalf& half, int devices) {
  Progress progress("measuring");
  constexpr std::int64_t kParts = 13;
  std::int64_t done = 0;
  return measure_gpus(half,
                      {.devices = devices,
                       .rounds = command.rounds,
                       .grid = command.quick ? GridSize::quick : GridSize::whole,
                       .optimizer = optimizer_named(command.optimizer),
                       .progress = [&](const std::string&) { progress.tell(done++, kParts); }});
}

void print_summary(const Profile& profile, std::ostream& out) {
  out << fmt::format("{}: {} ops, {} copies, {} collectives; {} {} active\n", profile.device.name,
                     profile.ops.size(), profile.copies.size(), profile.collectives.size(),
                     profile.device.workers,
                     profile.device.logical ? "logical devices" : "workers");
  out << fmt::format("dispatch {}, hand-over {}, barrier {} (medians)\n\n",
                     format(profile.dispatch.median), format(profile.handover.median),
                     format(profile.barrier.median));
  TextTable fits({"fit", "overhead", "rate", "residual %", "points"});
  for (const LineFit& fit : profile.fits) {
    const bool flops = fit.variable == "flops";
    fits.add({fit.what, format(fit.overhead),
              fmt::format("{:.3g} {}", fit.per_s * 1e-9, flops ? "GFLOP/s" : "GB/s"),
              fmt::format("{:.1f}", 100 * fit.residual), fmt::format("{}", fit.points)});
  }
  out << fits.text();
}

/// What the devices reached, beside what bounds it.
void print_rates(const Profile& profile, const GpuDescription& gpu, std::ostream& out) {
  TextTable table({"best of", "rate", "ceiling", "%"});
  for (const BestRate& rate : best_rates(profile, gpu_spec(gpu))) {
    const char* unit = rate.variable == "flops" ? "GFLOP/s" : "GB/s";
    const auto text = [&](double per_s) { return fmt::format("{:.4g} {}", per_s * 1e-9, unit); };
    const bool known = rate.ceiling_per_s > 0;
    table.add({rate.what, text(rate.per_s), known ? text(rate.ceiling_per_s) : "",
               known ? fmt::format("{:.0f}", 100 * rate.per_s / rate.ceiling_per_s) : ""});
  }
  out << "\n" << table.text();
}

/// Refuses what belongs to the other backend.
void check_options(const ProfileCommand& command) {
  check_backend(command.backend);
  if (command.backend == "cuda") return check_gpu_devices(command.devices);
  for (const auto& [given, option] :
       {std::pair(command.quick, "--quick"),
        std::pair(!command.cluster_output.empty(), "--cluster-output")}) {
    if (given) reject(fmt::format("{}: expected --backend cuda beside it", option));
  }
}

Profile run_host(const ProfileCommand& command) {
  const int devices = command.devices == 0 ? host_devices() : command.devices;
  // Devices that share a core would measure each other; two are allowed for the sake of copies.
  if (const int most = std::max(2, host_devices()); devices > most) {
    reject(fmt::format("--devices: expected at most {}, one a core, got {}", most, devices));
  }
  return measure_host(command, devices);
}

Profile run_cuda(const ProfileCommand& command) {
  return at_place("backend cuda", [&] {
    const CudaHalf half = cuda_half();
    const std::vector<GpuDescription> gpus = half.cuda.find_gpus();
    const int devices = command.devices == 0 ? static_cast<int>(gpus.size()) : command.devices;
    const Profile profile = measure_cuda(command, half, devices);
    if (!command.cluster_output.empty()) {
      write_file(command.cluster_output,
                 to_json(gpu_cluster(gpus, devices, &profile),
                         fmt::format("measured by foreplan profile --backend cuda, {}, {}",
                                     profile.device.measured_at, profile.device.driver)));
    }
    return profile;
  });
}

}  // namespace

void run_profile(const ProfileCommand& command, std::ostream& out) {
  check_options(command);
  check_output(command.output);
  check_output(command.cluster_output);
  const Profile profile = command.backend == "cuda" ? run_cuda(command) : run_host(command);
  const std::string text = to_json(profile);
  write_file(command.output, text);
  if (command.json) {
    out << text;
    return;
  }
  print_summary(profile, out);
  if (command.backend == "cuda") print_rates(profile, cuda_plugin().find_gpus().front(), out);
  out << fmt::format("\nwritten to {}\n", command.output);
}

}  // namespace foreplan
