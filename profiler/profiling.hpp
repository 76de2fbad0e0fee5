#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "profiler/calibration.hpp"
#include "profiler/samples.hpp"
#include "profiler/session.hpp"
#include "sim/profile.hpp"

namespace foreplan {

/// Measures what things cost on a Session's devices, in rounds.
///
/// Rounds can be spread between other work (`foreplan validate` does), so that what is measured here
/// and there sees the same machine. Each graph is warmed up at the start of its turn and then run
/// `steps` times in a row, as training would.
class Profiling {
 public:
  explicit Profiling(Session& session) : session_(session) {}

  /// A step without communication, of which every op is measured in its own sequence.
  void add_sequence(TaskGraph graph, int steps);
  /// Copies and adds of these sizes, hand-over, barrier and all-reduces; nothing with one device.
  void add_communication(const CopySizes& sizes, int steps);

  /// Runs everything once more: `warm_up` steps not counted, then the steps of each graph.
  void round(int warm_up);

  /// All rounds so far, summarised and fitted.
  Profile profile(const Profile::Device& device) const;

 private:
  struct Turn {
    TaskGraph graph;
    std::size_t loaded = 0;
    int steps = 1;
    bool barrier = false;
  };
  void add(TaskGraph graph, int steps, bool barrier);

  Session& session_;
  std::vector<Turn> turns_;
  SampleBook book_;
  SampleBook barriers_;
};

}  // namespace foreplan
