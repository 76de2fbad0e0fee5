#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "planner/search.hpp"
#include "sim/error.hpp"
#include "sim/json_reader.hpp"
#include "sim/profile_io.hpp"
#include "sim/roofline.hpp"
#include "tools/commands.hpp"
#include "tools/host_session.hpp"
#include "tools/outputs.hpp"
#include "tools/progress.hpp"
#include "tools/resources.hpp"
#include "tools/text_table.hpp"
#include "tools/workload.hpp"

namespace foreplan {
namespace {

constexpr Bytes kLargestCopy{16'000'000};

Profile measure(const ProfileCommand& command, int devices) {
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
    add_measurements(task, strategy_space(task, devices), profiling, copies);
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

void print_summary(const Profile& profile, std::ostream& out) {
  out << fmt::format("{}: {} ops, {} copies, {} collectives; {} workers active\n",
                     profile.device.name, profile.ops.size(), profile.copies.size(),
                     profile.collectives.size(), profile.device.workers);
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

}  // namespace

void check_backend(const std::string& backend) {
  if (backend == "host") return;
  if (backend == "cuda") {
    throw Error(ErrorCode::unavailable, "backend cuda: this version has no CUDA half yet");
  }
  reject(fmt::format("--backend: expected host, got '{}'", backend));
}

void run_profile(const ProfileCommand& command, std::ostream& out) {
  check_backend(command.backend);
  check_output(command.output);
  const int devices = command.devices == 0 ? host_devices() : command.devices;
  // Devices that share a core would measure each other; two are allowed for the sake of copies.
  if (const int most = std::max(2, host_devices()); devices > most) {
    reject(fmt::format("--devices: expected at most {}, one a core, got {}", most, devices));
  }
  const Profile profile = measure(command, devices);
  const std::string text = to_json(profile);
  write_file(command.output, text);
  if (command.json) {
    out << text;
    return;
  }
  print_summary(profile, out);
  out << fmt::format("\nwritten to {}\n", command.output);
}

}  // namespace foreplan
