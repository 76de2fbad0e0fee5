#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "tests/runtime/temporary_directory.hpp"

// Small whole files of every kind for tests of the command.

namespace foreplan {

/// A folder of one test, with files for the command in it.
class CommandFolder {
 public:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    folder_.write(name, content);
    return path(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  TemporaryDirectory folder_;
};

/// A network of 4 x 3 + 3 = 15 parameters.
inline constexpr std::string_view kModelFile = R"({"schema": "foreplan.model/1", "name": "small",
 "input": {"features": 4},
 "layers": [{"name": "fc", "type": "linear", "out_features": 3}],
 "loss": "softmax_cross_entropy"}
)";

/// 1 GFLOP/s in fp32; memory that costs next to nothing.
inline constexpr std::string_view kDeviceFile = R"({"schema": "foreplan.device/1", "name": "round",
 "memory_bytes": 1000000000, "peak_flops_per_s": {"fp32": 1e9},
 "memory_bandwidth_bytes_per_s": 1e15}
)";

/// Two such devices; 1 ms and 1 GB/s each way between them.
inline std::string cluster_file(const std::string& device = "device.json") {
  return R"({"schema": "foreplan.cluster/1", "name": "pair",
 "vertices": [{"id": "d0", "kind": "device", "device": ")" +
         device + R"("}, {"id": "d1", "kind": "device", "device": ")" + device + R"("}],
 "links": [{"from": "d0", "to": "d1", "bandwidth_bytes_per_s": 1e9, "latency_s": 1e-3}]}
)";
}

/// Every op takes 1 us and a nanosecond for each 1000 operations or bytes.
inline constexpr std::string_view kProfileFile = R"({"schema": "foreplan.profile/1",
 "device": {"name": "paper", "backend": "host", "memory_bytes": 1000000000, "clock_mhz": 1000,
  "driver": "none", "measured_at": "2026-01-01T00:00:00Z", "workers": 2},
 "ops": [], "copies": [], "collectives": [],
 "dispatch": {"mean_s": 0, "median_s": 0, "mad_s": 0, "samples": 1, "disturbed": 0},
 "handover": {"mean_s": 0, "median_s": 0, "mad_s": 0, "samples": 1, "disturbed": 0},
 "barrier": {"mean_s": 0, "median_s": 0, "mad_s": 0, "samples": 1, "disturbed": 0},
 "fits": [{"what": "flops fp32", "variable": "flops", "overhead_s": 1e-6, "per_s": 1e12,
           "residual": 0, "points": 1, "fitted_on": "nothing"},
          {"what": "bytes fp32", "variable": "bytes", "overhead_s": 1e-6, "per_s": 1e12,
           "residual": 0, "points": 1, "fitted_on": "nothing"}]}
)";

/// What `foreplan plan` writes, as short as `foreplan run` takes it.
inline std::string plan_file(const std::string& strategy, const std::string& optimizer = "sgd") {
  return R"({"schema": "foreplan.plan/1", "model": "mnist-mlp", "cluster": "host", "profile": null,
 "global_batch": 64, "optimizer": ")" +
         optimizer + R"(", "strategy": )" + strategy + R"(, "estimate": {"step_time_s": 1e-3}}
)";
}

inline constexpr std::string_view kGraphFile = R"({"schema": "foreplan.task_graph/1",
 "tasks": [{"id": "a", "kind": "compute", "device": 0, "duration_s": 0.001}]}
)";

inline constexpr std::string_view kMeasurementFile = R"({"schema": "foreplan.measurement/1",
 "model": "small", "strategy": "dp=1", "backend": "host", "device": "paper",
 "global_batch": 1, "steps": 1,
 "step_time": {"mean_s": 1e-3, "median_s": 1e-3, "mad_s": 0, "samples": 1, "disturbed": 0},
 "tasks": [{"id": "a", "device": 0, "start_s": 0, "finish_s": 1e-3}], "losses": [1.0]}
)";

}  // namespace foreplan
