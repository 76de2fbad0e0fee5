#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tools/robust_fit.hpp"

namespace foreplan {

/// Devices that share the constants of their kernels, and the stacks whose host costs are fitted with them: an
/// entry of models/published/calibration.json.
struct CalibrationFamily {
  std::string name;
  std::vector<std::string> devices{};  ///< whose fit rows count
  std::vector<std::string> heirs{};    ///< take the constants over; of the same architecture
  int attention_generation = 2;        ///< KernelFacts
  std::vector<FittedConstant>
      constants{};  ///< names as in a device file's `kernels`, see constant_names()
  std::vector<FittedConstant> launches{};  ///< name of a stack: its host_launch_s
  /// By such a name, stacks with the same host, which take it over.
  std::map<std::string, std::vector<std::string>> host_heirs{};
};

/// What may be fitted of a device: keys of `kernels`, those of matrix_efficiency as "matrix_efficiency.fp8";
/// "matrix_efficiency.half" is fp16 and bf16 at once.
std::vector<std::string> constant_names();

/// @throws Error(invalid_argument) naming file and place
std::vector<CalibrationFamily> read_calibration(const std::filesystem::path& path);

}  // namespace foreplan
