#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "planner/estimate.hpp"
#include "sim/roofline.hpp"

namespace foreplan {

/// A step that somebody might ask for, sensible or not.
struct RandomStep {
  Task task;
  Strategy strategy;
};

/// One line that tells what was drawn.
std::string describe(const RandomStep& step);

/// Draws steps by number: the same number gives the same step.
///
/// Networks are hand-made GPTs, MLPs and shipped ones of every family; clusters have 1 to 64 devices, of one
/// kind or of two, in shorthand and in full. About half of the strategies fit the devices and the batch; the
/// others are drawn without looking, some with sizes that nobody means.
class StepSource {
 public:
  /// @param data  where `zoo`, `devices` and `clusters` lie
  explicit StepSource(const std::filesystem::path& data);

  /// The step borrows networks and clusters from here.
  RandomStep draw(std::uint64_t number) const;

 private:
  std::vector<OpGraph> models_;
  std::vector<Cluster> clusters_;
  RooflineModel costs_;
};

}  // namespace foreplan
