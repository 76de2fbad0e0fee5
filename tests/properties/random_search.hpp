#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "planner/search.hpp"
#include "sim/roofline.hpp"
#include "tests/properties/random_step.hpp"

namespace foreplan {

/// Small tasks whose whole space can be simulated, by number: the same number gives the same task.
///
/// Networks are GPTs of two to four layers, an encoder with a decoder, and chains of uneven layers; clusters have one
/// to eight devices in nodes of one or two kinds, with memory for everything, for some or for nothing.
class SmallTasks {
 public:
  /// @param data  where `devices` lie
  explicit SmallTasks(const std::filesystem::path& data);
  /// The task borrows network, cluster and costs from here.
  Task draw(std::uint64_t number) const;

 private:
  std::vector<OpGraph> models_;
  std::vector<Cluster> clusters_;
  RooflineModel costs_;
};

/// More strategies than these are too many to simulate for one draw of thousands.
inline constexpr std::int64_t kMostSimulated = 1500;

/// What came of a search that was compared with simulating everything.
struct SearchVerdict {
  std::int64_t strategies = 0;  ///< more than kMostSimulated: not compared
  bool fits = false;
  bool ordered = false;     ///< there are orders of ranks beside the usual
  bool unusual = false;     ///< the plan's is another
  std::string violation{};  ///< empty: none
};
SearchVerdict judge_search(const Task& task);

/// What came of a random walk down the tree of a task's space.
struct BoundVerdict {
  bool fits = false;
  double tightness = 0;     ///< the leaf's bound over its time
  std::string violation{};  ///< empty: none
};

/// Walks down the space of the task of step `number` of `source`, `walks` times, and compares every bound on
/// the way with the simulated step at its end.
std::vector<BoundVerdict> judge_bounds(const StepSource& source, std::uint64_t number, int walks);

std::string describe(const Task& task);

}  // namespace foreplan
